/**
 * Pixels of images that were decoded in full, in memory that all workers share: a data set of small images need not be decoded again in
 * every epoch. Filled once, until it is full; nothing makes room.
 *
 *   words    | next free | entry 0: shard, index, start, width, height, bytes, checksum, state | entry 1 ...
 *   pixels   | image | image | ...
 *
 * An image is found by its place in the shards, and is the one that was decoded if the bytes there are as many, with the same checksum.
 */
import { constants } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { DecodedImage } from '../augment/augmenter.js';

/** Where a sample lies. */
interface Place {
  /** Ordinal of the shard. */
  readonly shard: number;
  /** Ordinal of the sample in it. */
  readonly index: number;
}

const ENTRY_WORDS = 8;
/** Words of an entry. */
const FIELD = { shard: 0, index: 1, start: 2, width: 3, height: 4, bytes: 5, checksum: 6, state: 7 } as const;
const STATE = { free: 0, taken: 1, ready: 2 } as const;
/** Bytes for which there is an entry: a third of an image of 32 x 32 pixels, for entries are found fast while many are free. */
const ENTRY_SHARE = 1024;
/** Images start at multiples of this, so that a word counts to 128 GiB. */
const UNIT = 64;
/** What a cache can hold: on Node 20 an array is no longer than 4 GiB. */
export const MOST_DECODED_BYTES = Math.floor(Math.min(constants.MAX_LENGTH, 2 ** 31 * UNIT) * 0.95);
/** Entries that are looked at for an image. */
const PROBES = 32;

export class DecodedCache {
  readonly #words: Int32Array;
  readonly #pixels: Uint8Array;
  readonly #entries: number;

  /** @param buffer of `DecodedCache.allocate` */
  constructor(buffer: SharedArrayBuffer) {
    this.#entries = Math.ceil(buffer.byteLength / ENTRY_SHARE);
    this.#words = new Int32Array(buffer, 0, 1 + this.#entries * ENTRY_WORDS);
    this.#pixels = new Uint8Array(buffer, Math.ceil(this.#words.byteLength / UNIT) * UNIT);
  }

  /** Memory for about `bytes` of pixels; what is never written takes none of the machine's. */
  static allocate(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(Math.ceil(bytes / (1 - (4 * ENTRY_WORDS) / ENTRY_SHARE)) + 2 * UNIT);
  }

  /** The image at a place if these are the encoded bytes that it was decoded from. Its data lie over the shared memory. */
  get(place: Place, encoded: Uint8Array): DecodedImage | undefined {
    for (const entry of this.#probes(place)) {
      const state = Atomics.load(this.#words, entry + FIELD.state);
      if (state === STATE.free) return undefined;
      if (state !== STATE.ready || !this.#is(entry, place)) continue;
      if (this.#word(entry, 'bytes') !== encoded.byteLength || this.#word(entry, 'checksum') !== (crc32(encoded) | 0)) return undefined;
      const [width, height, start] = [this.#word(entry, 'width'), this.#word(entry, 'height'), this.#word(entry, 'start') * UNIT];
      return { width, height, data: this.#pixels.subarray(start, start + 3 * width * height) };
    }
    return undefined;
  }

  /** Keeps an image, if there is room. */
  put(place: Place, encoded: Uint8Array, { width, height, data }: DecodedImage): void {
    const units = Math.ceil(data.byteLength / UNIT);
    const room = Math.floor(this.#pixels.byteLength / UNIT);
    // The counter is read first, lest images that never fit push it on.
    if (Atomics.load(this.#words, 0) + units > room) return;
    for (const entry of this.#probes(place)) {
      const state = Atomics.compareExchange(this.#words, entry + FIELD.state, STATE.free, STATE.taken);
      if (state === STATE.ready && this.#is(entry, place)) return;
      if (state !== STATE.free) continue;
      const start = Atomics.add(this.#words, 0, units);
      // An entry that another image has left no room for stays taken: it matches nothing.
      if (start + units > room) return;
      const fields = [place.shard, place.index, start, width, height, encoded.byteLength, crc32(encoded) | 0];
      this.#words.set(fields, entry);
      this.#pixels.set(data, start * UNIT);
      Atomics.store(this.#words, entry + FIELD.state, STATE.ready);
      return;
    }
  }

  /** Where entries begin that an image may have, in the order in which they are taken. */
  *#probes({ shard, index }: Place): Generator<number> {
    // Knuth's multiplicative hash: neighbours come apart.
    const first = (Math.imul(shard, 0x9e3779b1) + Math.imul(index, 0x85ebca6b)) >>> 0;
    for (let i = 0; i < PROBES; i++) yield 1 + ((first + i) % this.#entries) * ENTRY_WORDS;
  }

  #is(entry: number, { shard, index }: Place): boolean {
    return this.#word(entry, 'shard') === shard && this.#word(entry, 'index') === index;
  }

  #word(entry: number, field: keyof typeof FIELD): number {
    return this.#words[entry + FIELD[field]] ?? 0;
  }
}
