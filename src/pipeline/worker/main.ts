/**
 * What runs inside a Piscina worker: one long task that serves some of the lanes until the last epoch is done.
 *
 * A lane finds its next good sample, tells the others that it has it, works out the sample's place in the epoch from
 * what the others have told, waits until the slot of that batch is free, and renders the views straight into its row.
 */
import { setMaxListeners } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { type Augmenter, createAugmenter } from '../augment/augmenter.js';
import type { Recipe } from '../augment/recipe.js';
import { Control, PipelineAborted } from '../batch/control.js';
import { Slot } from '../batch/slots.js';
import { LaneMeters, TASK } from '../profile/lane-meters.js';
import { clock, Meters, type MeterShape } from '../profile/meters.js';
import { RenderTimer } from '../profile/render-timer.js';
import { QUEUE, STAGE } from '../profile/stages.js';
import { threadTimes } from '../profile/thread-times.js';
import type { PlanOptions } from '../plan/lanes.js';
import { turnOf } from '../plan/turns.js';
import type { SampleFields } from '../shard/group.js';
import type { LeftOutCount } from '../shard/left-out.js';
import { type CacheEvent, type CacheFolder, closeSources, type RetryEvent, type VersionEvent } from '../source/index.js';
import type { Decoder } from './decoders.js';
import { DecodeRoom } from './decode-room.js';
import { DecodedCache } from './decoded-cache.js';
import { type BadSample, type GoodSample, type LaneOptions, laneSamples } from './lane.js';
import { printable } from '../../common/printable.js';

/**
 * Samples that a worker has decoded beyond those whose turn has come. An image takes several times as long as another: with one ahead
 * sixteen workers of a lane each wait for the slowest of them in nearly every round.
 */
const DECODED_AHEAD = 4;

/** How often a worker notes what the scheduler says of it. */
const TIMES_EVERY_MS = 250;

export interface ServeTask {
  readonly plan: PlanOptions;
  readonly shards: readonly string[];
  readonly recipe: Recipe;
  readonly batchSize: number;
  readonly dropLast: boolean;
  /** Whether to leave operations to a device. */
  readonly deferred: boolean;
  /** Whether to leave images compressed that a device can decode. */
  readonly compressed: boolean;
  readonly onBadSample: 'skip' | 'fail';
  /** The lanes of this rank; the words in `control` count these. */
  readonly rankLanes: readonly number[];
  /** Which of them this task serves, by their place among them. */
  readonly serves: readonly number[];
  readonly firstEpoch: number;
  readonly epochs: number;
  /** What each lane of the rank had done before the run began, in its first epoch. */
  readonly done: readonly LaneOptions['done'][];
  /** Folder of shard indexes. */
  readonly indexDir?: string | undefined;
  /** Which members of a sample are its image and its label. */
  readonly fields: SampleFields;
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  readonly cache?: CacheFolder;
  readonly decoder: Decoder;
  readonly draft: boolean;
  /** Pixels above which an image is bad. */
  readonly maxPixels: number;
  /** This worker's share of the memory for decoding, bytes. */
  readonly decodeBytes: number;
  /** Of a `DecodedCache`. */
  readonly decoded?: SharedArrayBuffer;
  /** Ordinal of this worker. */
  readonly worker: number;
  readonly meters: SharedArrayBuffer;
  readonly meterShape: MeterShape;
  /** Takes a `WorkerReport` each. */
  readonly port: MessagePort;
}

/** What a worker tells the consumer besides batches. */
export type WorkerReport =
  | { readonly bad: BadSample }
  | { readonly leftOut: { readonly shard: number; readonly counts: readonly LeftOutCount[] } }
  | { readonly retry: RetryEvent }
  | { readonly cache: CacheEvent }
  | { readonly version: VersionEvent };

/** Serves the task's lanes; resolves when all epochs are done or the pipeline was closed. Closes the task's port by any end. */
export default async function serve(task: ServeTask): Promise<void> {
  try {
    await serveLanes(task);
  } finally {
    task.port.close();
    await closeSources();
  }
}

async function serveLanes(task: ServeTask): Promise<void> {
  const meters = new Meters(task.meterShape, task.meters);
  const thread = meters.thread(task.worker);
  const timer = new RenderTimer(thread);
  const noteTimes = (): void => {
    const times = threadTimes();
    if (times) thread.noteTimes(times);
  };
  const noting = setInterval(noteTimes, TIMES_EVERY_MS).unref();
  const augmenter = await createAugmenter(task.recipe, { deferred: task.deferred, onView: (view) => timer.viewDone(view) });
  const control = new Control({ lanes: task.rankLanes.length, slots: task.slots.length }, task.control);
  const room = new DecodeRoom(task.decodeBytes, control.decodeLock);
  // A lane may be waiting for a socket or for room rather than for another lane.
  const stop = new AbortController();
  // Every lane listens, and so does every file or socket it reads: more than the ten that Node takes for a leak.
  setMaxListeners(0, stop.signal);
  stop.signal.addEventListener('abort', () => room.close(new PipelineAborted()));
  void control.abortion().then(() => stop.abort());
  const parts: WorkerParts = {
    control,
    slots: task.slots.map((buffer) => new Slot({ ...task, kept: task.fields.kept }, buffer)),
    augmenter,
    decoded: task.decoded && new DecodedCache(task.decoded),
    room,
    ahead: Math.max(1, Math.ceil(DECODED_AHEAD / task.serves.length)),
    signal: stop.signal,
  };
  let failure: unknown;
  const runLane = (lane: number) => {
    const timers = { meters, timer, lane: new LaneMeters(meters, thread, lane) };
    return new LaneServer(task, lane, parts, timers).run().catch((error: unknown) => {
      // The first failure ends the run for everybody: the other lanes wait for this one's turns.
      if (!control.aborted) failure = error;
      control.abort();
    });
  };
  await Promise.all(task.serves.map(runLane));
  clearInterval(noting);
  if (failure !== undefined) throw failure;
}

/** What the lanes of a worker share. */
interface WorkerParts {
  readonly control: Control;
  readonly slots: readonly Slot[];
  readonly augmenter: Augmenter;
  readonly decoded: DecodedCache | undefined;
  readonly room: DecodeRoom;
  /** Samples that a lane looks for beyond the one that it places. */
  readonly ahead: number;
  readonly signal: AbortSignal;
}

interface LaneTimers {
  readonly meters: Meters;
  readonly timer: RenderTimer;
  readonly lane: LaneMeters;
}

/** A sample that is looked for, and whether it has been found. */
interface Finding {
  readonly sample: Promise<GoodSample | undefined>;
  found: boolean;
}

class LaneServer {
  readonly #task: ServeTask;
  /** Place of the lane among those of the rank. */
  readonly #lane: number;
  readonly #parts: WorkerParts;
  readonly #control: Control;
  readonly #timers: LaneTimers;

  constructor(task: ServeTask, lane: number, parts: WorkerParts, timers: LaneTimers) {
    this.#task = task;
    this.#lane = lane;
    this.#parts = parts;
    this.#control = parts.control;
    this.#timers = timers;
  }

  get #globalLane(): number {
    return this.#task.rankLanes[this.#lane] as number;
  }

  async run(): Promise<void> {
    const { firstEpoch, epochs, done } = this.#task;
    for (let epoch = firstEpoch; epoch < epochs; epoch++) {
      await this.#serveEpoch(epoch, (epoch === firstEpoch ? done[this.#lane] : undefined) ?? { taken: 0, good: 0 });
    }
    this.#parts.room.leave(this.#globalLane);
  }

  async #serveEpoch(epoch: number, done: LaneOptions['done']): Promise<void> {
    const { plan, shards, indexDir, fields, batchSize, dropLast, decoder, draft, maxPixels, compressed, cache } = this.#task;
    const { augmenter, decoded, room, signal } = this.#parts;
    const { lane } = this.#timers;
    const samples = laneSamples({
      plan,
      shards,
      epoch,
      lane: this.#globalLane,
      done,
      indexDir,
      augmenter,
      decoder,
      draft,
      maxPixels,
      compressed,
      room,
      decoded,
      signal,
      onBad: (bad) => this.#reportBad(bad),
      meters: lane,
      onLeftOut: (shard, counts) => {
        if (counts.length > 0) this.#report({ leftOut: { shard, counts } });
      },
      reading: {
        fields,
        ...(cache && { cache }),
        onCache: (event) => {
          lane.cacheRead(event.kind === 'hit');
          this.#report({ cache: event });
        },
        onVersion: (event) => this.#report({ version: event }),
        onRetry: (event) => {
          lane.failed(STAGE.source);
          this.#report({ retry: event });
        },
        meters: lane,
      },
    });
    let k = this.#control.ready(epoch, this.#lane);
    const turn = (round: number) => ({ epoch, round, lane: this.#globalLane });
    room.advance(turn(k));
    try {
      // Samples are decoded while those before them are placed.
      const findings: Finding[] = [];
      const find = (): void => void findings.push(this.#find(samples, epoch, findings.at(-1)));
      for (let i = 0; i < this.#parts.ahead; i++) find();
      for (let next = findings.shift(); next; next = findings.shift()) {
        lane.found(STAGE.decoded, next.found);
        lane.enter(TASK.place, STAGE.decoded);
        const sample = await next.sample;
        if (!sample) break;
        find();
        await this.#place(sample, epoch, k++);
        sample.loaded.unload();
        room.advance(turn(k));
        lane.queue(QUEUE.decoded, -1);
      }
      lane.leave(TASK.place);
      await this.#control.epochOpen(epoch);
      this.#control.finishLane(epoch, batchSize, dropLast);
    } finally {
      await samples.return(undefined);
    }
  }

  /** The lane's next good sample; says to the other lanes that there is one, or that there are no more. */
  #find(samples: AsyncGenerator<GoodSample>, epoch: number, before: Finding | undefined): Finding {
    const finding: Finding = { sample: this.#publish(samples.next(), epoch, before), found: false };
    // A failure is met when the sample's turn comes; until then it must not count as unhandled.
    const settle = (): void => {
      finding.found = true;
    };
    finding.sample.then(settle, settle);
    return finding;
  }

  async #publish(
    next: Promise<IteratorResult<GoodSample, unknown>>,
    epoch: number,
    before: Finding | undefined,
  ): Promise<GoodSample | undefined> {
    const { value, done } = await next;
    // After a failure there are no more either. That is no end of the lane: others would take its places.
    await before?.sample;
    if (this.#control.aborted) throw new PipelineAborted();
    if (done === true) {
      if (!this.#control.dry(epoch, this.#lane)) this.#control.publishDry(epoch, this.#lane);
      return undefined;
    }
    this.#control.publishReady(epoch, this.#lane, this.#control.ready(epoch, this.#lane) + 1);
    this.#timers.lane.queue(QUEUE.decoded, 1);
    return value;
  }

  async #place(sample: GoodSample, epoch: number, k: number): Promise<void> {
    const { batchSize, dropLast } = this.#task;
    const { meters, timer, lane } = this.#timers;
    lane.enter(TASK.place, STAGE.turn);
    const place = await this.#turn(epoch, k);
    await this.#control.epochOpen(epoch);
    const total = this.#control.epochSamples(epoch);
    if (dropLast && total !== undefined && place >= total - (total % batchSize)) return;

    const step = this.#control.base(epoch) + Math.floor(place / batchSize);
    const row = place % batchSize;
    lane.enter(TASK.place, STAGE.slot);
    lane.found(STAGE.slot, this.#control.isOpen(step));
    await this.#control.slotOpen(step);
    lane.enter(TASK.place, STAGE.augment);
    timer.begin();
    const slot = this.#parts.slots[this.#control.slotOf(step)] as Slot;
    const pending = sample.loaded.render(sample.stream, slot.row(row));
    if (this.#task.deferred) slot.writePending(row, pending);
    slot.writeCompressed(row, sample.loaded.compressed);
    if (sample.kept) slot.writeFields(row, sample.kept);
    timer.end();
    slot.writeRecord(row, {
      lane: this.#globalLane,
      taken: sample.taken,
      good: k + 1,
      shard: sample.shard,
      index: sample.index,
      image: sample.loaded.size,
      key: sample.key,
      label: sample.label,
    });
    lane.leave(TASK.place);
    meters.fullAt(this.#control.slotOf(step), clock());
    this.#control.fillRow(step, batchSize);
  }

  async #turn(epoch: number, k: number): Promise<number> {
    const control = this.#control;
    for (let first = true; ; first = false) {
      let seen = 0;
      const turn = turnOf(this.#lane, k, this.#task.rankLanes.length, (lane) => {
        // In this order: a count read after the lane was seen dry is its last.
        const dry = control.dry(epoch, lane);
        seen = control.ready(epoch, lane);
        return { ready: seen, dry };
      });
      if (turn >= 0) {
        this.#timers.lane.found(STAGE.turn, first);
        return turn;
      }
      await control.readyChange(epoch, -1 - turn, seen);
    }
  }

  #reportBad(bad: BadSample): void {
    if (this.#task.onBadSample === 'fail') {
      throw new Error(
        printable(
          `bad sample ${bad.key} at byte ${bad.offset} of ${bad.shard}: ${bad.reason}. Mend or remove it, or run with onBadSample 'skip'.`,
        ),
      );
    }
    this.#report({ bad });
  }

  #report(report: WorkerReport): void {
    this.#task.port.postMessage(report);
  }
}
