/** Two words in shared memory by which one thread asks something of another that has no turn of its event loop. */

const STOP = 0;
const SAVE = 1;

export class RequestWords {
  readonly #words: Int32Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.#words = new Int32Array(memory);
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }

  save(): void {
    Atomics.store(this.#words, SAVE, 1);
  }

  /** Whether a checkpoint was asked for since the last call. */
  takeSave(): boolean {
    return Atomics.exchange(this.#words, SAVE, 0) === 1;
  }
}
