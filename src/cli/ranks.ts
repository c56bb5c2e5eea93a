/** `detco train --ranks N`: starts the ranks of one machine itself, with the variables that torchrun would set. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { underNohup } from './nohup.js';
import { display } from './print.js';

/** How long the others have to see for themselves that a rank is gone, and then to end. */
const [SEE_MS, END_MS] = [10_000, 30_000];
/** Before what another rank has ended with. All are of one machine here. */
const OF_ANOTHER = /^rank \d+ on \S+ cannot go on: /;
/** Variable with the number of the process that started this rank. */
const STARTER = 'DETCO_RANKS_STARTER';
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const;

/** Why a rank ends. */
interface Farewell {
  readonly reason: string;
  /** Whether it was asked to. */
  readonly interrupted: boolean;
}

interface Ended {
  readonly rank: number;
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs this command so many times, each a rank, until all have ended.
 * @returns the exit code: of the first that failed, or 0
 */
export async function startRanks(count: number): Promise<number> {
  const port = await freePort();
  const ranks = Array.from({ length: count }, (_, rank) => startRank(rank, count, port));
  for (const signal of [...PASSED_ON, ...(underNohup() ? [] : ['SIGHUP' as const])])
    process.on(signal, () => ranks.forEach((rank) => rank.kill(signal)));
  const told: string[] = [];
  let ending = false;
  for (const child of ranks)
    child.on('message', ({ reason: whole, interrupted }: Farewell) => {
      const reason = whole.replace(OF_ANOTHER, '');
      // Most end for one reason, which the first of them has told.
      if ((ending && interrupted) || told.some((other) => other.includes(reason) || reason.includes(other))) return;
      told.push(reason);
      display.error(`detco: ${reason}`);
    });
  const endings = ranks.map((child, rank) => ended(child, rank));
  const failed = await Promise.race([Promise.all(endings).then(() => undefined), firstFailure(endings)]);
  if (failed === undefined) return 0;
  if (failed.signal) display.error(`rank ${failed.rank} was ended by ${failed.signal}`);
  await settle(ranks, endings, SEE_MS);
  ending = true;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const child of ranks) child.kill(signal);
    await settle(ranks, endings, END_MS);
  }
  return failed.code;
}

/** Whether `detco train --ranks` started this process. */
export function startedByRanks(): boolean {
  return process.connected && process.env[STARTER] === String(process.ppid);
}

/** Ends this rank as a signal would when who started it is gone. */
export function endWithStarter(): void {
  if (!startedByRanks()) return;
  process.channel?.unref();
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

/** Tells who started this rank why it ends. @returns whether somebody hears of it, and tells the user */
export function tellStarter(farewell: Farewell): boolean {
  if (!startedByRanks()) return false;
  process.send?.(farewell);
  return true;
}

function startRank(rank: number, count: number, port: number): ChildProcess {
  const own = {
    RANK: rank,
    WORLD_SIZE: count,
    LOCAL_RANK: rank,
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: port,
    [STARTER]: process.pid,
  };
  const variables = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)]));
  // The first speaks for all; others warn.
  return spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    // As a shell names it: of what tells a process that nohup started it, not all ranks have the rest.
    env: { ...process.env, ...variables, ...(underNohup() && { _: 'nohup' }) },
    stdio: [rank === 0 ? 'inherit' : 'ignore', rank === 0 ? 'inherit' : 'ignore', 'inherit', 'ipc'],
  });
}

function ended(child: ChildProcess, rank: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve({ rank, code: code ?? 128 + constants.signals[signal ?? 'SIGTERM'], signal }));
  });
}

function firstFailure(endings: readonly Promise<Ended>[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    for (const ending of endings) ending.then((one) => one.code !== 0 && resolve(one), reject);
  });
}

/** Until all have ended, or so long. */
async function settle(ranks: readonly ChildProcess[], endings: readonly Promise<Ended>[], ms: number): Promise<void> {
  if (ranks.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)) return;
  const late = new AbortController();
  const all = Promise.all(endings).finally(() => late.abort());
  await Promise.race([all, setTimeout(ms, undefined, { signal: late.signal }).catch(() => undefined)]);
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
