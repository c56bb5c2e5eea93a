/** Times what the tasks of a lane do, and what the lane is held up by. */
import { clock, type Meters, NO_STATE, type ThreadMeters } from './meters.js';
import { LANE_STATES, QUEUE, STAGE } from './stages.js';

/** The things a lane does at the same time: fetch bytes, cut samples out of them, decode, place. */
export const TASK = Object.freeze({ fetch: 0, read: 1, find: 2, place: 3 });
type Task = (typeof TASK)[keyof typeof TASK];

const NONE = -1;
const SOURCE = LANE_STATES.indexOf('source');
const TAR = LANE_STATES.indexOf('tar');
const DECODE = LANE_STATES.indexOf('decode');
const LOOP = LANE_STATES.indexOf('loop');
const PLACING = new Map([
  [STAGE.turn, LANE_STATES.indexOf('turn')],
  [STAGE.slot, LANE_STATES.indexOf('slot')],
  [STAGE.augment, LANE_STATES.indexOf('augment')],
]);

/** Times the stages of one lane: each of its tasks is in one stage at a time. */
export class LaneMeters {
  readonly #thread: ThreadMeters;
  readonly #lane: number;
  readonly #stage = [NONE, NONE, NONE, NONE];
  readonly #since = [0, 0, 0, 0];
  readonly #now: Float64Array;
  /** Time spent in `source` so far, and at the time that `tar` was entered. */
  #fetched = 0;
  #fetchedBefore = 0;

  constructor(meters: Meters, thread: ThreadMeters, lane: number) {
    this.#now = meters.laneNow(lane);
    this.#now.set([NO_STATE, clock()]);
    this.#thread = thread;
    this.#lane = lane;
  }

  /** The task goes on to `stage`; the visit it was on ends. */
  enter(task: Task, stage: number): void {
    const now = clock();
    const before = this.#stage[task] as number;
    const since = this.#since[task] as number;
    if (before === STAGE.source) this.#fetched += now - since;
    if (before !== NONE) {
      // Waiting for bytes is the source's time, not the parser's.
      this.#thread.add(before, before === STAGE.tar ? Math.max(0, now - since - (this.#fetching(now) - this.#fetchedBefore)) : now - since);
      this.#thread.addSpan(before, 4 * this.#lane + task, since, now - since);
    }
    if (before === STAGE.decode) this.#thread.moveQueue(QUEUE.decoding, -1);
    if (stage === STAGE.decode) this.#thread.moveQueue(QUEUE.decoding, 1);
    this.#stage[task] = stage;
    this.#since[task] = now;
    this.#account(now);
    if (stage === STAGE.tar) this.#fetchedBefore = this.#fetching(now);
  }

  /** The task has nothing to do. */
  leave(task: Task): void {
    if (this.#stage[task] !== NONE) this.enter(task, NONE);
  }

  bytes(stage: number, bytes: number): void {
    this.#thread.addBytes(stage, bytes);
  }

  failed(stage: number): void {
    this.#thread.addFailure(stage);
  }

  /** Whether what the task came for was there. */
  found(stage: number, ready: boolean): void {
    if (ready) this.#thread.addReady(stage);
  }

  /** A remote shard was read from the cache folder, or not. */
  cacheRead(hit: boolean): void {
    this.#thread.addCacheRead(hit);
  }

  queue(queue: number, items: number): void {
    this.#thread.moveQueue(queue, items);
  }

  decoderQueue(images: number): void {
    this.#thread.addDecoderQueue(images);
  }

  /** Runs what decodes in this very thread; an image that it gives up is another decoder's. */
  decoding(decode: () => boolean): boolean {
    const began = clock();
    const decoded = decode();
    this.#thread.addDecoded(Number(decoded), clock() - began);
    return decoded;
  }

  /** Counts an image that was decoded before, and had not to be. */
  decodedBefore(): void {
    this.#thread.addDecoded(1, 0);
  }

  /** Counts an image that is decoded by a device: no other thread here has to. */
  leftCompressed(): void {
    this.#thread.addDecoded(1, 0);
    this.#thread.addLeft();
  }

  /** Time waited for bytes so far, that of the wait under way included. */
  #fetching(now: number): number {
    return this.#fetched + (this.#stage[TASK.fetch] === STAGE.source ? now - (this.#since[TASK.fetch] as number) : 0);
  }

  /** Adds the time since the last change to the state that the lane was in. */
  #account(now: number): void {
    const [state = NO_STATE, since = now] = this.#now;
    if (state !== NO_STATE) this.#thread.addLaneState(state, now - since);
    this.#now[0] = this.#state();
    this.#now[1] = now;
  }

  #state(): number {
    const placing = this.#stage[TASK.place] as number;
    if (placing !== STAGE.decoded) return PLACING.get(placing) ?? NO_STATE;
    const finding = this.#stage[TASK.find] as number;
    if (finding === STAGE.decode) return DECODE;
    // The sample is there; the thread is not.
    if (finding === NONE) return LOOP;
    return this.#stage[TASK.fetch] === STAGE.source ? SOURCE : TAR;
  }
}

/** Passes items on and times how long each was waited for, as a visit of `task` to `stage`. */
export async function* timed<T>(
  items: AsyncIterable<T>,
  lane: LaneMeters,
  { task, stage, onItem }: { readonly task: Task; readonly stage: number; readonly onItem: (item: T) => void },
): AsyncGenerator<T, void, undefined> {
  try {
    lane.enter(task, stage);
    for await (const item of items) {
      lane.leave(task);
      onItem(item);
      yield item;
      lane.enter(task, stage);
    }
  } finally {
    lane.leave(task);
  }
}
