/**
 * The words through which workers and the consumer coordinate. They lie in shared memory and are waited on with
 * `Atomics.waitAsync`, because the consumer's thread may be busy for seconds inside a training step: nothing a worker
 * needs may depend on that thread's event loop turning.
 *
 *   [ abort | pulse | open epoch | lock ]   [ a region an epoch, in a ring ]            [ a pair a slot ]
 *                                            base step | finished | ready[] | total[]    open for step | filled
 *
 * A slot goes round: the consumer opens it for a step, workers fill its rows, the consumer leases it out as a batch and
 * on release opens it for the step `slots` later.
 */
const ABORT = 0;
const PULSE = 1;
const OPEN_EPOCH = 2;
const DECODE_LOCK = 3;
const HEADER = 4;

/** A consumer that computes on its thread tells of a free slot only afterwards, so workers also look for themselves. */
const SLOT_LOOK_MS = 10;

interface WaitOptions {
  /** Another reason to stop waiting, which notifies the word. */
  readonly over?: () => boolean;
  readonly timeoutMs?: number;
}

/** Value of a lane's total while it is still being read. */
const UNKNOWN = -1;

export class PipelineAborted extends Error {
  override name = 'PipelineAborted';
}

export interface ControlShape {
  readonly lanes: number;
  readonly slots: number;
}

export class Control {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #lanes: number;
  readonly #slots: number;
  readonly #ring: number;

  constructor({ lanes, slots }: ControlShape, buffer?: SharedArrayBuffer) {
    this.#lanes = lanes;
    this.#slots = slots;
    // Every epoch has at least one batch, so workers are at most `slots` + 1 epochs ahead of the consumer and touch the
    // two regions after their own.
    this.#ring = slots + 4;
    const words = HEADER + this.#ring * (2 + 2 * lanes) + 2 * slots;
    this.buffer = buffer ?? new SharedArrayBuffer(4 * words);
    this.#words = new Int32Array(this.buffer);
  }

  /** Sets the words for a run that begins at `epoch`, whose first step is `base`, with `good` samples of each lane done. */
  begin(epoch: number, base: number, step: number, good: readonly number[]): void {
    for (let e = epoch; e < epoch + this.#ring; e++) this.#clear(e);
    this.#words[this.#region(epoch)] = base;
    good.forEach((count, lane) => (this.#words[this.#ready(epoch, lane)] = count));
    for (let slot = 0; slot < this.#slots; slot++) {
      // The first step from `step` on that falls to this slot.
      const first = step + ((slot + this.#slots - (step % this.#slots)) % this.#slots);
      this.#words[this.#slot(slot)] = first;
    }
    this.#words[OPEN_EPOCH] = epoch;
  }

  // ---- lanes

  /** A lane has found its `count`-th good sample of the epoch. */
  publishReady(epoch: number, lane: number, count: number): void {
    this.#set(this.#ready(epoch, lane), count);
  }

  /** A lane has no more samples than those published. */
  publishDry(epoch: number, lane: number): void {
    this.#set(this.#total(epoch, lane), this.ready(epoch, lane));
    // Waiters of `ready` learn of the end too.
    Atomics.notify(this.#words, this.#ready(epoch, lane));
  }

  ready(epoch: number, lane: number): number {
    return Atomics.load(this.#words, this.#ready(epoch, lane));
  }

  dry(epoch: number, lane: number): boolean {
    return Atomics.load(this.#words, this.#total(epoch, lane)) !== UNKNOWN;
  }

  /** Good samples of the whole epoch, once every lane is dry; else undefined. */
  epochSamples(epoch: number): number | undefined {
    let sum = 0;
    for (let lane = 0; lane < this.#lanes; lane++) {
      if (!this.dry(epoch, lane)) return undefined;
      sum += this.ready(epoch, lane);
    }
    return sum;
  }

  /** Resolves when the lane's count is no longer `count` or the lane is dry. */
  async readyChange(epoch: number, lane: number, count: number): Promise<void> {
    await this.#change(this.#ready(epoch, lane), count, { over: () => this.dry(epoch, lane) });
  }

  // ---- epochs

  /** Step at which the epoch begins; valid once the epoch is open. */
  base(epoch: number): number {
    return Atomics.load(this.#words, this.#region(epoch));
  }

  get openEpoch(): number {
    return Atomics.load(this.#words, OPEN_EPOCH);
  }

  /** Resolves when rows of `epoch` may be written: every row of the epoch before has been. */
  async epochOpen(epoch: number): Promise<void> {
    for (let open = this.openEpoch; open < epoch; open = this.openEpoch) await this.#change(OPEN_EPOCH, open);
  }

  /**
   * A lane has written its last row of the epoch. The last lane to say so opens the next epoch, whose first step
   * follows the `steps(samples)` of this one.
   */
  finishLane(epoch: number, batchSize: number, dropLast: boolean): void {
    if (Atomics.add(this.#words, this.#region(epoch) + 1, 1) + 1 < this.#lanes) return;
    const samples = this.epochSamples(epoch) ?? 0;
    const whole = Math.floor(samples / batchSize);
    const partial = samples % batchSize > 0;
    const next = this.base(epoch) + whole + (partial && !dropLast ? 1 : 0);
    // Rows of a batch that will never be full are given up. A slot that is not open for it yet has none.
    const slot = this.#slot(this.slotOf(next));
    if (partial && dropLast && Atomics.load(this.#words, slot) === next) Atomics.store(this.#words, slot + 1, 0);
    this.#clear(epoch + 2);
    Atomics.store(this.#words, this.#region(epoch + 1), next);
    this.#set(OPEN_EPOCH, epoch + 1);
    this.#beat();
  }

  // ---- decoding

  /** Held by the worker that decodes an image beyond its share of memory. */
  readonly decodeLock = {
    acquire: async (): Promise<void> => {
      while (Atomics.compareExchange(this.#words, DECODE_LOCK, 0, 1) !== 0) await this.#change(DECODE_LOCK, 1);
    },
    release: (): void => this.#set(DECODE_LOCK, 0),
  };

  // ---- slots

  slotOf(step: number): number {
    return step % this.#slots;
  }

  /** Whether the slot of `step` may be written for that step. */
  isOpen(step: number): boolean {
    return Atomics.load(this.#words, this.#slot(this.slotOf(step))) >= step;
  }

  /** Resolves when the slot of `step` may be written for that step. */
  async slotOpen(step: number): Promise<void> {
    const word = this.#slot(this.slotOf(step));
    for (let open = Atomics.load(this.#words, word); open < step; open = Atomics.load(this.#words, word))
      await this.#change(word, open, { timeoutMs: SLOT_LOOK_MS });
  }

  /** Counts one more row of `step` as written; `rows` of them make a batch. */
  fillRow(step: number, rows: number): void {
    if (Atomics.add(this.#words, this.#slot(this.slotOf(step)) + 1, 1) + 1 === rows) this.#beat();
  }

  filled(step: number): number {
    return Atomics.load(this.#words, this.#slot(this.slotOf(step)) + 1);
  }

  /** Gives the slot of `step` back to the workers. */
  release(step: number): void {
    const word = this.#slot(this.slotOf(step));
    Atomics.store(this.#words, word + 1, 0);
    Atomics.store(this.#words, word, step + this.#slots);
    // Woken at once, the workers would take the core from the consumer that asks for its next batch.
    setImmediate(() => Atomics.notify(this.#words, word));
  }

  // ---- the consumer

  get pulse(): number {
    return Atomics.load(this.#words, PULSE);
  }

  /** Resolves after the next full slot or finished epoch since `pulse` was read. */
  pulseChange(pulse: number): Promise<void> {
    return this.#change(PULSE, pulse);
  }

  /** Resolves when the pipeline is closed or has failed. */
  async abortion(): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, ABORT, 0);
    if (wait.async) await wait.value;
  }

  get aborted(): boolean {
    return Atomics.load(this.#words, ABORT) !== 0;
  }

  /** Makes every wait, here and in the workers, end with `PipelineAborted`. */
  abort(): void {
    Atomics.store(this.#words, ABORT, 1);
    for (let word = 0; word < this.#words.length; word++) Atomics.notify(this.#words, word);
  }

  #beat(): void {
    Atomics.add(this.#words, PULSE, 1);
    Atomics.notify(this.#words, PULSE);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
    Atomics.notify(this.#words, word);
  }

  /** Waits until a word is no longer `value`, or for another reason to stop. */
  async #change(word: number, value: number, { over = () => false, timeoutMs = Infinity }: WaitOptions = {}): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, word, value, timeoutMs);
    // Looked at only after the wait has begun: whatever ends it later notifies it.
    if (wait.async && !this.aborted && !over()) await wait.value;
    if (this.aborted) throw new PipelineAborted();
  }

  #clear(epoch: number): void {
    const region = this.#region(epoch);
    for (let word = region; word < region + 2 + this.#lanes; word++) Atomics.store(this.#words, word, 0);
    for (let lane = 0; lane < this.#lanes; lane++) Atomics.store(this.#words, this.#total(epoch, lane), UNKNOWN);
  }

  #region(epoch: number): number {
    return HEADER + (epoch % this.#ring) * (2 + 2 * this.#lanes);
  }

  #ready(epoch: number, lane: number): number {
    return this.#region(epoch) + 2 + lane;
  }

  #total(epoch: number, lane: number): number {
    return this.#region(epoch) + 2 + this.#lanes + lane;
  }

  #slot(slot: number): number {
    return HEADER + this.#ring * (2 + 2 * this.#lanes) + 2 * slot;
  }
}
