/**
 * How much memory a thread spends on pixels at once: images for which there is no room are not decoded yet.
 *
 * A lane's image is held until its turn has come, and the turn may be that of an image still waiting for room. So the image that
 * all others of the thread wait for never waits for room: the thread then holds that one beyond its share. The first of all threads
 * is the first of its own, hence threads need not know of each other's images. They only see to it that one at a time decodes
 * beyond its share, which takes the most.
 */

import { usableMemory } from '../machine.js';

/** Where an image stands in the order: lanes take turns, and an epoch follows the one before. */
export interface Turn {
  readonly epoch: number;
  /** Good samples of the lane before it in the epoch. */
  readonly round: number;
  readonly lane: number;
}

/** Part of the machine's memory: what is left is for compressed samples, batches and who trains on them. */
const MACHINE_SHARE = 1 / 8;

/** Bytes for decoding in all threads of a process, unless told otherwise. */
export function defaultDecodeMemory(): number {
  return MACHINE_SHARE * usableMemory();
}

/** What one thread at a time has. */
export interface Lock {
  acquire(): Promise<void>;
  release(): void;
}

/** Room for one image. */
export interface Claim {
  /** Waits for room for the bytes that decoding takes, in place of what the image has. */
  take(bytes: number): Promise<void>;
  /** Keeps the bytes of an image that has been decoded, and gives up what is beyond them. */
  keep(bytes: number): void;
  /** Gives everything up. */
  give(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly turn: Turn | undefined;
  readonly grant: (within: boolean) => void;
  readonly refuse: (reason: unknown) => void;
}

export class DecodeRoom {
  readonly #share: number;
  readonly #lock: Lock | undefined;
  /** Bytes. */
  #held = 0;
  /** In the order in which they came. */
  #waiting: Waiting[] = [];
  /** Of each lane, the first image that has not been placed. */
  readonly #next = new Map<number, Turn>();
  #closed: { readonly reason: unknown } | undefined;

  /**
   * @param share bytes
   * @param lock shared by the threads
   */
  constructor(share: number, lock?: Lock) {
    this.#share = share;
    this.#lock = lock;
  }

  /** @param turn of an image that is held until it is placed; one without goes beyond the share when nothing else is held */
  claim(turn?: Turn): Claim {
    let held = 0;
    let locked = false;
    const keep = (bytes: number): void => {
      if (locked) this.#lock?.release();
      locked = false;
      this.#held -= held - bytes;
      held = bytes;
      this.#admit();
    };
    const take = async (bytes: number): Promise<void> => {
      if (held > 0) keep(0);
      const within = await this.#take(bytes, turn);
      held = bytes;
      if (within || !this.#lock) return;
      await this.#lock.acquire();
      locked = true;
    };
    return { take, keep, give: () => keep(0) };
  }

  /** A lane has placed every image before this one. */
  advance(turn: Turn): void {
    this.#next.set(turn.lane, turn);
    this.#admit();
  }

  /** A lane has placed its last image. */
  leave(lane: number): void {
    this.#next.delete(lane);
    this.#admit();
  }

  /** Whoever waits, or would have to, is rejected. */
  close(reason: unknown): void {
    this.#closed = { reason };
    for (const { refuse } of this.#waiting.splice(0)) refuse(reason);
  }

  /** @returns whether it is within the share */
  #take(bytes: number, turn: Turn | undefined): boolean | Promise<boolean> {
    const within = this.#waiting.length === 0 && this.#fits(bytes);
    if (!this.#closed && (within || this.#isFirst(turn))) {
      this.#held += bytes;
      return within;
    }
    return new Promise<boolean>((grant, refuse) => {
      if (this.#closed) refuse(this.#closed.reason);
      else this.#waiting.push({ bytes, turn, grant, refuse });
    });
  }

  #admit(): void {
    if (this.#waiting.length === 0) return;
    let full = false;
    this.#waiting = this.#waiting.filter(({ bytes, turn, grant }) => {
      full ||= !this.#fits(bytes);
      if (full && !this.#isFirst(turn)) return true;
      // Counted before the next in line is looked at.
      this.#held += bytes;
      grant(!full);
      return false;
    });
  }

  #fits(bytes: number): boolean {
    return this.#held + bytes <= this.#share;
  }

  #isFirst(turn: Turn | undefined): boolean {
    if (turn === undefined) return this.#held === 0;
    for (const next of this.#next.values()) if (comesBefore(next, turn)) return false;
    return true;
  }
}

function comesBefore(a: Turn, b: Turn): boolean {
  return (a.epoch - b.epoch || a.round - b.round || a.lane - b.lane) < 0;
}
