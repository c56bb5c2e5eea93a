/**
 * Regions of a memory that grows and never shrinks, for images that come and go. A freed region is used again, so the memory
 * ends up as large as the images it held at one time.
 */
export interface Region {
  readonly address: number;
  /** Bytes. */
  readonly capacity: number;
}

/** Capacities are whole pages of WebAssembly, so that images of nearly one size fit each other's regions. */
const UNIT = 65_536;

export class Regions {
  readonly #reserve: (end: number) => void;
  readonly #free: Region[] = [];
  #end: number;

  /** @param reserve makes the memory reach to `end` */
  constructor(start: number, reserve: (end: number) => void) {
    this.#end = start;
    this.#reserve = reserve;
  }

  /** The smallest free region that holds `bytes`, or a new one. */
  take(bytes: number): Region {
    let best = -1;
    this.#free.forEach(({ capacity }, i) => {
      if (capacity >= bytes && capacity < (this.#free[best]?.capacity ?? Infinity)) best = i;
    });
    const [found] = best === -1 ? [] : this.#free.splice(best, 1);
    if (found) return found;
    const region = { address: this.#end, capacity: Math.ceil(bytes / UNIT) * UNIT };
    this.#reserve(region.address + region.capacity);
    this.#end = region.address + region.capacity;
    return region;
  }

  give(region: Region): void {
    this.#free.push(region);
  }
}
