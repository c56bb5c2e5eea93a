/**
 * What runs inside a Piscina worker: one long task that serves some of the lanes until the last epoch is done.
 *
 * A lane finds its next good sample, tells the others that it has it, works out the sample's place in the epoch from
 * what the others have told, waits until the slot of that batch is free, and renders the views straight into its row.
 */
import type { MessagePort } from 'node:worker_threads';
import { type Augmenter, createAugmenter } from '../augment/augmenter.js';
import type { Recipe } from '../augment/recipe.js';
import { Control, PipelineAborted } from '../batch/control.js';
import { Slot } from '../batch/slots.js';
import type { PlanOptions } from '../plan/lanes.js';
import { turnOf } from '../plan/turns.js';
import { type CacheEvent, type CacheFolder, closeSources, type RetryEvent, type VersionEvent } from '../source/index.js';
import { type BadSample, type GoodSample, laneSamples } from './lane.js';

export interface ServeTask {
  readonly plan: PlanOptions;
  readonly shards: readonly string[];
  readonly recipe: Recipe;
  readonly batchSize: number;
  readonly dropLast: boolean;
  readonly onBadSample: 'skip' | 'fail';
  /** The lanes that this task serves. */
  readonly lanes: readonly number[];
  readonly firstEpoch: number;
  readonly epochs: number;
  /** Samples of each lane's stream done before the run began, in its first epoch. */
  readonly taken: readonly number[];
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  readonly cache?: CacheFolder;
  /** Takes a `WorkerReport` each. */
  readonly port: MessagePort;
}

/** What a worker tells the consumer besides batches. */
export type WorkerReport =
  | { readonly bad: BadSample }
  | { readonly retry: RetryEvent }
  | { readonly cache: CacheEvent }
  | { readonly version: VersionEvent };

/** Serves the task's lanes; resolves when all epochs are done or the pipeline was closed. */
export default async function serve(task: ServeTask): Promise<void> {
  const augmenter = await createAugmenter(task.recipe);
  const control = new Control({ lanes: task.plan.lanes, slots: task.slots.length }, task.control);
  const slots = task.slots.map((buffer) => new Slot(task.recipe, task.batchSize, buffer));
  // A lane may be waiting for a socket rather than for another lane.
  const stop = new AbortController();
  void control.abortion().then(() => stop.abort());
  let failure: unknown;
  const runLane = (lane: number) =>
    new LaneServer(task, lane, control, slots, augmenter, stop.signal).run().catch((error: unknown) => {
      // The first failure ends the run for everybody: the other lanes wait for this one's turns.
      if (!control.aborted) failure = error;
      control.abort();
    });
  await Promise.all(task.lanes.map(runLane));
  task.port.close();
  await closeSources();
  if (failure !== undefined) throw failure;
}

class LaneServer {
  readonly #task: ServeTask;
  readonly #lane: number;
  readonly #control: Control;
  readonly #slots: readonly Slot[];
  readonly #augmenter: Augmenter;
  readonly #signal: AbortSignal;

  constructor(task: ServeTask, lane: number, control: Control, slots: readonly Slot[], augmenter: Augmenter, signal: AbortSignal) {
    this.#task = task;
    this.#lane = lane;
    this.#control = control;
    this.#slots = slots;
    this.#augmenter = augmenter;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { firstEpoch, epochs, taken } = this.#task;
    for (let epoch = firstEpoch; epoch < epochs; epoch++) {
      await this.#serveEpoch(epoch, epoch === firstEpoch ? (taken[this.#lane] ?? 0) : 0);
    }
  }

  async #serveEpoch(epoch: number, skip: number): Promise<void> {
    const { plan, shards, batchSize, dropLast, cache } = this.#task;
    const samples = laneSamples({
      plan,
      shards,
      epoch,
      lane: this.#lane,
      skip,
      signal: this.#signal,
      onBad: (bad) => this.#reportBad(bad),
      reading: {
        ...(cache && { cache }),
        onCache: (event) => this.#report({ cache: event }),
        onVersion: (event) => this.#report({ version: event }),
        onRetry: (event) => this.#report({ retry: event }),
      },
    });
    let k = this.#control.ready(epoch, this.#lane);
    try {
      // One sample is decoded while the one before it is placed.
      let next = this.#find(samples, epoch);
      for (let sample = await next; sample; sample = await next, k++) {
        next = this.#find(samples, epoch);
        next.catch(() => undefined);
        await this.#place(sample, epoch, k);
      }
      await this.#control.epochOpen(epoch);
      this.#control.finishLane(epoch, batchSize, dropLast);
    } finally {
      await samples.return(undefined);
    }
  }

  /** The lane's next good sample; says to the other lanes that there is one, or that there are no more. */
  async #find(samples: AsyncGenerator<GoodSample>, epoch: number): Promise<GoodSample | undefined> {
    const { value, done } = await samples.next();
    if (this.#control.aborted) throw new PipelineAborted();
    if (done === true) {
      this.#control.publishDry(epoch, this.#lane);
      return undefined;
    }
    this.#control.publishReady(epoch, this.#lane, this.#control.ready(epoch, this.#lane) + 1);
    return value;
  }

  async #place(sample: GoodSample, epoch: number, k: number): Promise<void> {
    const { plan, batchSize, dropLast } = this.#task;
    const place = await this.#turn(epoch, k);
    await this.#control.epochOpen(epoch);
    const total = this.#control.epochSamples(epoch);
    if (dropLast && total !== undefined && place >= total - (total % batchSize)) return;

    const step = this.#control.base(epoch) + Math.floor(place / batchSize);
    const row = place % batchSize;
    await this.#control.slotOpen(step);
    const slot = this.#slots[this.#control.slotOf(step)] as Slot;
    this.#augmenter.render(sample.pixels, { seed: plan.seed, epoch, shard: sample.shard, index: sample.index }, slot.row(row));
    slot.writeRecord(row, {
      lane: this.#lane,
      taken: sample.taken,
      good: k + 1,
      shard: sample.shard,
      key: sample.key,
      label: sample.label,
    });
    this.#control.fillRow(step, batchSize);
  }

  async #turn(epoch: number, k: number): Promise<number> {
    const control = this.#control;
    for (;;) {
      let seen = 0;
      const turn = turnOf(this.#lane, k, this.#task.plan.lanes, (lane) => {
        // In this order: a count read after the lane was seen dry is its last.
        const dry = control.dry(epoch, lane);
        seen = control.ready(epoch, lane);
        return { ready: seen, dry };
      });
      if (turn >= 0) return turn;
      await control.readyChange(epoch, -1 - turn, seen);
    }
  }

  #reportBad(bad: BadSample): void {
    if (this.#task.onBadSample === 'fail') {
      throw new Error(
        `bad sample ${bad.key} at byte ${bad.offset} of ${bad.shard}: ${bad.reason}. Mend or remove it, or run with onBadSample 'skip'.`,
      );
    }
    this.#report({ bad });
  }

  #report(report: WorkerReport): void {
    this.#task.port.postMessage(report);
  }
}
