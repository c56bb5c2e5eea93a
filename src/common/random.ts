/**
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11).
 *
 * A stream is named by its key, not by what was drawn before it, so the pixels of a sample depend on
 * (seed, epoch, sample, view) alone and never on which worker made them or when.
 */
const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the unsigned 64-bit product: schoolbook on 16-bit halves, whose sums stay below 2^32. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle = aLow * bHigh + (cross & 0xffff);
  return aHigh * bHigh + (cross >>> 16) + (middle >>> 16);
}

/**
 * One block of Philox4x32-10: four random words for a counter of four words and a key of two.
 *
 * @param out four words
 */
export function philox4x32(counter: readonly [number, number, number, number], key: readonly [number, number], out: Uint32Array): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** One stream of random numbers, named by up to five 32-bit words. */
export class Random {
  readonly #counter: [number, number, number];
  readonly #key: [number, number];
  #block = 0;
  readonly #words = new Uint32Array(4);
  #used = 4;

  /**
   * @param seed the run's seed
   * @param stream what the numbers are for; streams with different words are independent
   */
  constructor(seed: number, ...stream: [number?, number?, number?, number?]) {
    this.#key = [seed >>> 0, (stream[3] ?? 0) >>> 0];
    this.#counter = [(stream[0] ?? 0) >>> 0, (stream[1] ?? 0) >>> 0, (stream[2] ?? 0) >>> 0];
  }

  /** A uniform integer in [0, 2^32). */
  uint32(): number {
    if (this.#used === 4) this.#refill();
    return this.#words[this.#used++] as number;
  }

  /** A uniform number in [0, 1). */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** A uniform number in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** A normal number (Box-Muller; the second of the pair is dropped so that every draw costs two words). */
  normal(mean = 0, deviation = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A random permutation of 0..n-1 (Fisher-Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const held = order[i] as number;
      order[i] = order[j] as number;
      order[j] = held;
    }
    return order;
  }

  #refill(): void {
    philox4x32([this.#block++, ...this.#counter], this.#key, this.#words);
    this.#used = 0;
  }
}

/** FNV-1a of a string: a 32-bit name for a stream. */
export function streamId(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
