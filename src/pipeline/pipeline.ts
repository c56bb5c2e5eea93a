/**
 * The consumer's end of the pipeline: owns the workers and the slots, and hands out full slots as batches.
 */
import type { Piscina } from 'piscina';
import type { Views } from './augment/recipe.js';
import { BadSamples } from './bad-samples.js';
import type { Batch, PipelineState } from './batch/batch.js';
import { Control, PipelineAborted } from './batch/control.js';
import { Lease } from './batch/lease.js';
import { drawnPictures } from './batch/plans.js';
import { Slot, type SlotShape } from './batch/slots.js';
import type { PipelineOptions, ResolvedOptions } from './options.js';
import { epochSteps, type PlanOptions } from './plan/lanes.js';
import { advance, epochBeginning, nextEpoch, rankLanes, resumedState } from './plan/state.js';
import { MeterBoard } from './profile/board.js';
import type { Span } from './profile/meters.js';
import type { PipelineMeters } from './profile/snapshot.js';
import type { SampleFields } from './shard/group.js';
import { type LeftOutCount, warnOncePerKind } from './shard/left-out.js';
import type { ComparedShards } from './shard/same-shards.js';
import { SeenShards } from './seen-shards.js';
import { type CacheFolder, type FoundShard, sweepRun } from './source/index.js';
import { identityOf } from './source/identity.js';
import { reasonOf } from './source/source.js';
import type { WorkerReport } from './worker/main.js';
import { DecodedCache } from './worker/decoded-cache.js';
import { startWorkers } from './worker/pool.js';
import { printable } from '../common/printable.js';
import { PipelineOptionError } from './option-error.js';
import { counted } from '../common/counted.js';

/**
 * Batches of augmented views from tar shards.
 *
 * Iterating starts the workers; leaving the loop, by any way, stops them and frees sockets, files and shared memory.
 * A pipeline is iterated once.
 */
export interface Pipeline<Named extends Views = Views> extends AsyncIterable<Batch<Named>>, AsyncDisposable {
  /** Locations of the shards in the order of the plan, without logins and signatures. */
  readonly shards: readonly string[];
  /**
   * The shards with what is known of each by now, for `expect` of a pipeline that goes on: asked at the start, or else seen while it
   * was read. In the order of the plan.
   */
  found(): FoundShard[];
  /** What the shards have in common with those of `expect`. */
  readonly compared: ComparedShards | undefined;
  /** Samples of all shards, with option `ordinals`: ordinals are below it. */
  readonly samples: number | undefined;
  /** What every stage has done so far; two of them make a `profileReport`. */
  meters(): PipelineMeters;
  /** The newest timed visits of every stage, of which option `spans` says how many are kept. */
  spans(): Span[];
  /** Stops the workers; a running iteration ends. */
  close(): Promise<void>;
}

/** What a slot holds. */
export function slotShape({ recipe }: PipelineOptions, resolved: ResolvedOptions): SlotShape {
  const { batchSize, augment, decode } = resolved;
  return { recipe, batchSize, deferred: augment === 'device', compressed: decode === 'device', kept: fieldsOf(resolved).kept };
}

/** Which members of a sample are what, and which others are kept. */
export function fieldsOf({ imageField, labelField, classNames, fields, maxFieldBytes }: ResolvedOptions): SampleFields {
  return { imageField, labelField, classNames, ...(fields.length > 0 && { kept: { names: fields, bytes: maxFieldBytes } }) };
}

function decodedMemory({ decodedCache }: ResolvedOptions): SharedArrayBuffer | undefined {
  if (decodedCache === undefined) return undefined;
  try {
    return DecodedCache.allocate(decodedCache);
  } catch (error) {
    throw new PipelineOptionError('decodedCache', `${decodedCache} bytes cannot be had (${reasonOf(error)}); use less`, {
      cause: error,
    });
  }
}

export class WorkerPipeline implements Pipeline {
  readonly shards: readonly string[];
  readonly compared: ComparedShards | undefined;
  readonly samples: number | undefined;
  /** The ordinal of each shard's first sample. */
  readonly #firsts: readonly number[] | undefined;
  /** With logins and signatures, for the workers alone. */
  readonly #found: readonly FoundShard[];
  readonly #options: PipelineOptions;
  readonly #resolved: ResolvedOptions;
  readonly #plan: PlanOptions;
  /** The lanes of this rank. */
  readonly #lanes: readonly number[];
  readonly #cache: CacheFolder | undefined;
  readonly #decoded: SharedArrayBuffer | undefined;
  readonly #control: Control;
  readonly #slots: readonly Slot[];
  readonly #board: MeterBoard;
  readonly #seen: SeenShards;
  readonly #badSamples: BadSamples;
  /** The step whose batch is asked for next. */
  #step = 0;
  #pool: Piscina | undefined;
  #serving: Promise<unknown> = Promise.resolve();
  #failure: unknown;
  /** Shards of which it was told what they leave out. */
  readonly #leftOut = new Set<number>();
  readonly #warnLeftOut = warnOncePerKind((warning) => process.emitWarning(warning));
  #lease: Lease | undefined;
  #iterated = false;
  #closed = false;

  constructor(
    options: PipelineOptions,
    resolved: ResolvedOptions,
    {
      found,
      compared,
      samples,
    }: {
      readonly found: readonly FoundShard[];
      readonly compared: ComparedShards | undefined;
      /** Of each shard, where samples are numbered. */
      readonly samples?: readonly number[] | undefined;
    },
    plan: PlanOptions,
    cache: CacheFolder | undefined,
  ) {
    this.#options = options;
    this.#cache = cache;
    this.#resolved = resolved;
    this.#decoded = decodedMemory(resolved);
    this.#found = found;
    this.compared = compared;
    let total = 0;
    this.#firsts = samples?.map((count) => (total += count) - count);
    this.samples = samples && total;
    this.shards = found.map(({ location }) => identityOf(location));
    this.#seen = new SeenShards(found, options.expect);
    this.#badSamples = new BadSamples(resolved.maxBadSamples);
    this.#plan = plan;
    this.#lanes = rankLanes(resolved);
    this.#control = new Control({ lanes: this.#lanes.length, slots: resolved.slots });
    this.#slots = Array.from({ length: resolved.slots }, () => new Slot(slotShape(options, resolved)));
    this.#board = new MeterBoard(
      { ...resolved, lanes: this.#lanes.length },
      this.#slots[0]?.buffer.byteLength ?? 0,
      options.recipe,
      this.shards,
    );
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
    if (this.#iterated) throw new Error('This pipeline has been iterated already; create another with createPipeline().');
    this.#iterated = true;
    const { signal, resume } = this.#options;
    const { epochs, batchSize } = this.#resolved;
    let state = resume ? resumedState(resume, this.#resolved) : epochBeginning(0, 0, this.#resolved);
    const abort = () => this.#control.abort();
    signal?.throwIfAborted();
    signal?.addEventListener('abort', abort, { once: true });
    this.#start(state);
    try {
      this.#board.consumer.asks();
      // Batches may still lie in the slots of one that was closed.
      while (state.epoch < epochs && !this.#closed) {
        this.#step = state.step;
        const ready = this.#control.filled(state.step) === batchSize;
        const rows = await this.#nextRows(state);
        if (rows === undefined) return;
        if (rows === 0) {
          state = nextEpoch(state);
          continue;
        }
        this.#board.consumer.gets({ epoch: state.epoch, ready, slot: this.#control.slotOf(state.step), rows });
        this.#lease = this.#leaseRows(state, rows);
        state = this.#lease.state;
        // Ranks go in step: the others have as many good samples, and may have no bad ones.
        this.#badSamples.addGood(rows * this.#resolved.worldSize);
        yield this.#lease;
        this.#board.consumer.asks();
        this.#lease.endTurn();
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      await this.close();
    }
  }

  found(): FoundShard[] {
    return this.#seen.found();
  }

  meters(): PipelineMeters {
    const { slots, batchSize } = this.#resolved;
    const steps = Array.from({ length: slots }, (_, ahead) => this.#step + ahead);
    return this.#board.read(this.#pool?.threads, steps.filter((step) => this.#control.filled(step) === batchSize).length);
  }

  spans(): Span[] {
    return this.#board.spans();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#board.readLoops(this.#pool?.threads);
    this.#control.abort();
    const pool = this.#pool;
    this.#pool = undefined;
    await this.#serving;
    await pool?.destroy();
    // A worker that was killed leaves what it was writing.
    if (pool && this.#cache) await sweepRun(this.#cache).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(state: PipelineState): void {
    const {
      workers,
      workerMemoryMb,
      batchSize,
      dropLast,
      augment,
      decode,
      onBadSample,
      epochs,
      indexDir,
      decoder,
      draft,
      maxPixels,
      decodeMemory,
    } = this.#resolved;
    const done = this.#lanes.map((lane) => state.lanes[lane] ?? { taken: 0, good: 0 });
    this.#control.begin(
      state.epoch,
      state.epochStart,
      state.step,
      done.map(({ good }) => good),
    );
    const { pool, served } = startWorkers(
      {
        plan: this.#plan,
        shards: this.#found.map(({ location }) => location),
        recipe: this.#options.recipe,
        batchSize,
        dropLast,
        deferred: augment === 'device',
        compressed: decode === 'device',
        onBadSample,
        rankLanes: this.#lanes,
        firstEpoch: state.epoch,
        epochs,
        done,
        indexDir,
        fields: fieldsOf(this.#resolved),
        control: this.#control.buffer,
        slots: this.#slots.map(({ buffer }) => buffer),
        ...(this.#cache && { cache: this.#cache }),
        decoder,
        draft,
        maxPixels,
        decodeBytes: decodeMemory / workers,
        ...(this.#decoded && { decoded: this.#decoded }),
        meters: this.#board.buffer,
        meterShape: this.#board.shape,
      },
      {
        workers,
        workerMemoryMb,
        onReport: (report) => this.#receive(report),
        onFailure: (error) => this.#fail(error),
      },
    );
    this.#pool = pool;
    this.#serving = served;
  }

  /** Rows of the batch after `state`, once they are written; 0 when the epoch is over, undefined when the pipeline was closed. */
  async #nextRows(state: PipelineState): Promise<number | undefined> {
    const { batchSize } = this.#resolved;
    const control = this.#control;
    try {
      for (;;) {
        // Batches that are ready are still given after a failure; to whom has said stop they are not.
        if (this.#options.signal?.aborted) throw new PipelineAborted();
        const pulse = control.pulse;
        const finished = control.openEpoch > state.epoch;
        if (!finished && control.filled(state.step) === batchSize) return batchSize;
        if (finished) {
          const end = control.base(state.epoch + 1);
          if (end === state.epochStart && this.#mayBeEmpty()) return undefined;
          if (end === state.epochStart) throw this.#emptyEpoch(state.epoch);
          return state.step < end ? control.filled(state.step) : 0;
        }
        await control.pulseChange(pulse);
      }
    } catch (error) {
      if (!(error instanceof PipelineAborted)) throw error;
      await this.#serving;
      const reason: unknown = this.#failure ?? this.#options.signal?.reason;
      if (reason === undefined) return undefined;
      throw reason;
    }
  }

  /** Whether the whole shards of this rank may have no good sample: the others have what there is. */
  #mayBeEmpty(): boolean {
    const { divide, worldSize } = this.#resolved;
    return divide === 'shards' && worldSize > 1;
  }

  #emptyEpoch(epoch: number): Error {
    const samples = this.#control.epochSamples(epoch) ?? 0;
    if (samples === 0) {
      const bad = this.#badSamples.summary() ?? 'detco verify says what they hold';
      return new Error(`No usable sample in ${counted(this.shards.length, 'shard')} (first: ${printable(this.shards[0] ?? '')}); ${bad}`);
    }
    return new PipelineOptionError(
      'batchSize',
      `${this.#resolved.batchSize} is more than the ${counted(samples, 'sample')} of an epoch; use at most ${samples}.`,
    );
  }

  #leaseRows(state: PipelineState, rows: number): Lease {
    const slot = this.#slots[this.#control.slotOf(state.step)] as Slot;
    const records = Array.from({ length: rows }, (_, row) => slot.readRecord(row));
    const after = advance(state, records);
    // By samples it is known beforehand which batch is the epoch's last, so its state can be taken up by other ranks.
    const over = after.step - after.epochStart === epochSteps(this.#plan, this.#resolved.worldSize, this.#resolved.batchSize);
    return new Lease({
      slot,
      records,
      before: state,
      after: over ? nextEpoch(after) : after,
      shards: this.shards,
      ...(this.#firsts && { firsts: this.#firsts }),
      draw: () => drawnPictures(this.#options.recipe, { seed: this.#resolved.seed, epoch: state.epoch }, records),
      giveBack: () => this.#control.release(state.step),
    });
  }

  #receive(report: WorkerReport): void {
    if ('bad' in report) {
      const tooMany = this.#badSamples.add(report.bad);
      this.#options.onBad?.(report.bad);
      this.#failWith(tooMany);
    } else if ('leftOut' in report) this.#tellLeftOut(report.leftOut);
    else if ('retry' in report) this.#options.onRetry?.(report.retry);
    else if ('cache' in report) this.#options.onCache?.(report.cache);
    else this.#failWith(this.#seen.see(report.version));
  }

  /** Lanes may share a shard, and come to it again in each epoch. */
  #tellLeftOut({ shard, counts }: { readonly shard: number; readonly counts: readonly LeftOutCount[] }): void {
    if (this.#leftOut.has(shard)) return;
    this.#leftOut.add(shard);
    const { onLeftOut = this.#warnLeftOut } = this.#options;
    for (const count of counts) onLeftOut({ shard: this.shards[shard] ?? '', ...count });
  }

  #failWith(error: Error | undefined): void {
    if (error) this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#control.abort();
  }
}
