/** How ranks come together: rank 0 serves a store of c10d, and the others find it. */
import { type Company, CompanyError, type CompanyPlace, MEETING_MS } from '../company.js';
import type { TorchAddon } from './addon.js';
import { loadNative } from './native.js';
import { reasonOf } from './other-failed.js';
import { StoreCompany } from './store-company.js';

/** Of one attempt to reach rank 0. */
const ATTEMPT_MS = 5000;

export interface MeetingOptions {
  /** How long ranks are waited for. Default: 5 minutes. */
  readonly startMs?: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Meets the other ranks.
 * @throws CompanyError when they do not come, or one of the same number has
 */
export async function openCompany(place: CompanyPlace, { startMs = MEETING_MS, signal }: MeetingOptions = {}): Promise<Company> {
  const { rank, size, host, port } = place;
  quietLibraries();
  const addon = loadNative();
  const where = `${host}:${port}`;
  try {
    await openStore(addon, place, { startMs, signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw new CompanyError(
      rank === 0
        ? `rank 0 cannot listen at port ${port}: ${reasonOf(error).replace(/\.$/, '')}; end what uses it, or set MASTER_PORT, or DETCO_RANKS_PORT, to one that is free`
        : `rank ${rank} of ${size} found no rank 0 at ${where} within ${startMs / 1000} s: ${reasonOf(error)}; ` +
            'start all ranks, with MASTER_ADDR and MASTER_PORT of the machine and a free port of rank 0',
      { cause: error },
    );
  }
  const company = new StoreCompany(addon, place);
  try {
    company.enter();
  } catch (error) {
    // As one of its number is there, it takes no leave either.
    addon.closeStore();
    throw error;
  }
  try {
    await company.meet(startMs, signal);
  } catch (error) {
    const explained = await company.explain(error);
    await company[Symbol.asyncDispose]();
    throw explained;
  }
  const problem = company.otherSize();
  if (problem === undefined) return company;
  await company[Symbol.asyncDispose]();
  throw new CompanyError(problem);
}

/** What goes wrong is thrown: LibTorch's logs tell each attempt to connect beside, in lines of their own. Read when it is loaded. */
function quietLibraries(): void {
  for (const [name, fatalAlone] of [
    ['GLOG_minloglevel', '3'],
    ['TORCH_CPP_LOG_LEVEL', 'FATAL'],
  ] as const)
    process.env[name] ??= fatalAlone;
}

/** Rank 0 may not be there yet. One attempt at a time, for what waits in LibTorch hears of no signal. */
async function openStore(
  addon: TorchAddon,
  { rank, host, port }: CompanyPlace,
  { startMs, signal }: MeetingOptions & { readonly startMs: number },
): Promise<void> {
  if (rank === 0) return addon.openStore('127.0.0.1', port, true, startMs);
  const until = performance.now() + startMs;
  for (;;) {
    signal?.throwIfAborted();
    const left = until - performance.now();
    try {
      return await addon.openStore(host, port, false, Math.max(1, Math.min(ATTEMPT_MS, left)));
    } catch (error) {
      if (left <= ATTEMPT_MS) throw error;
    }
  }
}
