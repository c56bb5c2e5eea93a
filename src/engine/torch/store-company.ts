/**
 * Ranks that talk through a store of c10d, which rank 0 serves.
 *
 *   rank 0       sets N/0, collects N/0 .. N/size-1, sets N/all
 *   another      sets N/r, waits for N/all
 *   everybody    counts beat/r on a thread that nothing else holds up, looks at the beat of whom it waits for, and at `failed`
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { type Company, CompanyError, type CompanyPlace } from '../company.js';
import type { TorchAddon } from './addon.js';
import { type Failure, OtherFailed, reasonOf } from './other-failed.js';

/** How long ranks wait for one that evaluates or writes meanwhile. */
const WAIT_MS = 24 * 60 * 60_000;
/** Between two looks at the store: short at first, for most answers come at once. */
const [FIRST_LOOK_MS, LAST_LOOK_MS] = [1, 50];
const BEAT_MS = 1000;
/** Without a beat for so long a rank is gone: its process, its machine or the way to it. */
const SILENT_MS = 15_000;
/** Of a connection that broke: how long it is watched who still beats. */
const WATCH_MS = 4 * BEAT_MS;
/** Rank 0 alone knows who has not come: the others let it say so first. */
const HEAD_START_MS = 5000;
/** How long rank 0 lets the others read why it ends. */
const FAREWELL_MS = 10_000;

/** Of what the addon throws where a rank is gone. */
const BROKEN = 'ranks lost each other';

/** What ranks tell each other first. */
interface Introduction {
  /** Number of ranks that this one was told of. */
  readonly size: number;
  readonly host: string;
  /** As Linux lists those that it may run on, `0-3,8`; the same for all where it does not tell. */
  readonly cores: string;
}

function allowedCores(): string {
  try {
    return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
  } catch {
    return '';
  }
}

export class StoreCompany implements Company {
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  readonly attempt: string;
  readonly byRanks: boolean;
  readonly #addon: TorchAddon;
  /** Where they meet. */
  readonly #where: string;
  #ranks: readonly Introduction[] = [];
  /** Rounds of `exchange`. */
  #rounds = 0;

  constructor(addon: TorchAddon, { rank, size, localRank, host, port, attempt, byRanks = false }: CompanyPlace) {
    this.#addon = addon;
    this.rank = rank;
    this.size = size;
    this.localRank = localRank;
    this.attempt = attempt;
    this.byRanks = byRanks;
    this.#where = `${host}:${port}`;
  }

  /** @throws CompanyError where one of this number is there: those that are still waiting for each other end as well */
  enter(): void {
    const came = this.#ask(() => this.#addon.countInStore(`${this.attempt}/came/${this.rank}`));
    if (came > 1) {
      const { rank, size } = this;
      const twice = new CompanyError(`${came} processes say that they are rank ${rank} of ${size}: each needs a RANK of its own`);
      if (this.#get('met') === undefined) this.#tell(twice);
      throw twice;
    }
    this.#addon.beatInStore(`${this.attempt}/beat/${this.rank}`, BEAT_MS);
  }

  /** Waits for all to come. */
  async meet(withinMs: number, signal: AbortSignal | undefined): Promise<void> {
    this.#ranks = await this.#all({ size: this.size, host: hostname(), cores: allowedCores() }, withinMs, signal);
    if (this.rank === 0) this.#set('met', true);
  }

  /** Of ranks that met and were told different numbers of ranks, in words. To one that the others do not count on they owe nothing. */
  otherSize(): string | undefined {
    const expected = this.#ranks[0]?.size;
    const other = this.size === expected ? this.#ranks.findIndex(({ size }) => size !== expected) : this.rank;
    if (other < 0) return undefined;
    const size = this.#ranks[other]?.size ?? this.size;
    return `rank ${other} was started as one of ${size} ranks, and rank 0 as one of ${expected}: start all ranks with the same WORLD_SIZE`;
  }

  get machines(): number {
    return new Set(this.#ranks.map(({ host }) => host)).size;
  }

  get sharers(): number {
    const { host, cores } = this.#ranks[this.rank] ?? {};
    return this.#ranks.filter((one) => one.host === host && one.cores === cores).length;
  }

  exchange<T>(said: T): Promise<T[]> {
    return this.#all(said, WAIT_MS);
  }

  async explain(error: unknown, remedy = ''): Promise<unknown> {
    if (error instanceof OtherFailed && error.explained) return error;
    const reason = await this.#reason(error);
    return reason instanceof OtherFailed && !reason.explained ? reason.withRemedy(remedy) : reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.rank > 0) this.#set(`left/${this.rank}`, true);
      else await this.#farewell();
    } catch {
      // The store is gone, with rank 0.
    }
    this.#addon.closeStore();
  }

  /** What ends this rank: its own error, of which the others are told, or that another has failed or is gone. */
  async #reason(error: unknown): Promise<unknown> {
    if (error instanceof OtherFailed) return error;
    try {
      const broken = reasonOf(error).includes(BROKEN);
      const found = this.#failure() ?? (broken ? await this.#watch() : undefined);
      // What this rank has met itself says more than that another has met it too.
      if (broken && found && found.rank !== this.rank) return new OtherFailed(found);
      if (!found) this.#tell(error);
      return error;
    } catch (gone) {
      return gone;
    }
  }

  async #all<T>(said: T, withinMs: number, signal?: AbortSignal): Promise<T[]> {
    const round = this.#rounds++;
    const until = performance.now() + withinMs;
    this.#set(`${round}/${this.rank}`, said);
    if (this.rank > 0) return (await this.#wait(`${round}/all`, until + HEAD_START_MS, 0, signal)) as T[];
    const all: T[] = [];
    for (let rank = 0; rank < this.size; rank++) all.push((await this.#wait(`${round}/${rank}`, until, rank, signal)) as T);
    this.#set(`${round}/all`, all);
    return all;
  }

  /** @param of the rank that sets the key */
  async #wait(key: string, until: number, of: number, signal: AbortSignal | undefined): Promise<unknown> {
    let [beat, beatAt] = [undefined as unknown, performance.now()];
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(2 * pause, LAST_LOOK_MS)) {
      const found = this.#get(key);
      if (found !== undefined) return found;
      const failure = this.#failure();
      if (failure !== undefined) throw new OtherFailed(failure);
      signal?.throwIfAborted();
      const now = this.#get(`beat/${of}`);
      if (now !== beat) [beat, beatAt] = [now, performance.now()];
      // One that has not come yet has no beat; one that came may have died before its first.
      const came = beat !== undefined || this.#ranks.length > 0;
      if (came && performance.now() - beatAt > SILENT_MS) throw this.#tellLost(of);
      if (performance.now() > until) throw new CompanyError(this.#late(of));
      await setTimeout(pause);
    }
  }

  /** Who is gone, or has failed. */
  async #watch(): Promise<Failure | undefined> {
    const others = Array.from({ length: this.size }, (_, rank) => rank).filter((rank) => rank !== this.rank);
    const beats = () => others.map((rank) => this.#get(`beat/${rank}`));
    const before = beats();
    const until = performance.now() + WATCH_MS;
    while (performance.now() < until) {
      const failure = this.#failure();
      if (failure) return failure;
      await setTimeout(LAST_LOOK_MS);
    }
    const after = beats();
    const gone = others.find((_, i) => before[i] === after[i]);
    if (gone !== undefined) this.#set('failed', this.#lost(gone));
    return gone === undefined ? undefined : this.#lost(gone);
  }

  /** Lets the others know why this rank ends. */
  #tell(error: unknown): void {
    const { name } = error instanceof Error ? error : { name: 'Error' };
    this.#set('failed', { ...this.#named(this.rank), reason: reasonOf(error), name } satisfies Failure);
  }

  #tellLost(rank: number): OtherFailed {
    this.#set('failed', this.#lost(rank));
    return new OtherFailed(this.#lost(rank));
  }

  /** The others read in the store why this rank ends, as long as it is there. */
  async #farewell(): Promise<void> {
    const failure = this.#failure();
    const until = performance.now() + FAREWELL_MS;
    const gone = failure?.name === undefined ? failure?.rank : undefined;
    const waitedFor = (rank: number) => rank > 0 && rank !== gone && this.#get(`came/${rank}`) !== undefined;
    let staying = Array.from({ length: this.size }, (_, rank) => rank).filter(waitedFor);
    while (staying.length > 0 && performance.now() < until) {
      staying = staying.filter((rank) => this.#get(`left/${rank}`) === undefined);
      if (staying.length > 0) await setTimeout(LAST_LOOK_MS);
    }
  }

  #failure(): Failure | undefined {
    return this.#get('failed') as Failure | undefined;
  }

  #lost(rank: number): Failure {
    return { ...this.#named(rank), reason: 'is gone: its process was ended, or its machine or the network failed' };
  }

  #named(rank: number): Pick<Failure, 'rank' | 'host'> {
    return { rank, host: this.#ranks[rank]?.host ?? (rank === this.rank ? hostname() : 'a machine that is not known yet') };
  }

  #late(of: number): string {
    const known = this.#ranks[of];
    if (known) return `rank ${of} on ${known.host} has not answered for ${WAIT_MS / 3_600_000} hours`;
    const who = this.rank === 0 ? `rank ${of} of ${this.size}` : `one of ${this.size} ranks`;
    return `${who} has not come to ${this.#where} within the time: start all ranks, each with its RANK and the same WORLD_SIZE`;
  }

  #set(key: string, value: unknown): void {
    this.#ask(() => this.#addon.setInStore(`${this.attempt}/${key}`, JSON.stringify(value ?? null)));
  }

  #get(key: string): unknown {
    const text = this.#ask(() => this.#addon.getFromStore(`${this.attempt}/${key}`));
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** @throws CompanyError where the store does not answer */
  #ask<T>(ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      if (this.rank > 0 && this.#ranks.length === 0)
        throw new CompanyError(
          `what listens at ${this.#where} does not answer as rank 0: start all ranks, with MASTER_ADDR and MASTER_PORT of the machine and a free port of rank 0`,
          { cause: error },
        );
      throw new OtherFailed(this.#lost(0), { cause: error });
    }
  }
}
