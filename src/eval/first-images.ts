/**
 * The first so many images of shards. Where several processes read them, each some of the lanes, they agree in stretches of rounds on how far
 * to go, and have between them the images that one process takes: those of the first turns (src/pipeline/plan/turns.ts).
 *
 *   limit 11    lane 0   a0 a1 a2 a3    11 of 4 lanes   2 rounds: 8 images, 3 left of 4 lanes, of which b has ended
 *               lane 1   b0 b1          3 of 3 lanes    1 round: a2 c2 d2
 *               lane 2   c0 c1 c2 c3
 *               lane 3   d0 d1 d2
 */
import type { PipelineState } from '../pipeline/batch/batch.js';

export interface Turn {
  /** Which of its lane's samples it is, from 0. */
  readonly round: number;
  readonly lane: number;
}

/** The turn of each row of a batch, by where its lanes stood before it and after. */
export function turnsOf(before: PipelineState['lanes'] | undefined, after: PipelineState['lanes']): Turn[] {
  const turns = after.flatMap(({ good }, lane) => {
    const first = before?.[lane]?.good ?? 0;
    return Array.from({ length: good - first }, (_, i) => ({ round: first + i, lane }));
  });
  return turns.toSorted((a, b) => a.round - b.round || a.lane - b.lane);
}

/** A sample, and the image that it is where it has a label. */
export interface Row<Image> extends Turn {
  readonly image: Image | undefined;
}

type Blocks<Image> = AsyncIterable<readonly Row<Image>[]>;

/** Of what one process reads. */
export async function* firstOf<Image>(blocks: Blocks<Image>, limit: number): AsyncGenerator<Image[]> {
  let left = limit;
  for await (const block of blocks) {
    const taken = block.flatMap(({ image }) => image ?? []).slice(0, left);
    left -= taken.length;
    if (taken.length > 0) yield taken;
    if (left === 0) return;
  }
}

/** Of what several processes read: this one's part. All of them have to come to the end. */
export async function* firstOfAll<Image>(blocks: Blocks<Image>, sharing: Sharing): AsyncGenerator<Image[]> {
  const part = new Part<Image>(sharing);
  for await (const block of blocks) {
    const taken: Image[] = [];
    for (const row of block) {
      while (!part.over && row.round >= part.end) taken.push(...(await part.agree()));
      if (part.over) break;
      taken.push(...part.add(row));
    }
    if (taken.length > 0) yield taken;
    if (part.over) return;
  }
  while (!part.over) {
    const taken = await part.agree();
    if (taken.length > 0) yield taken;
  }
}

/** What a process has found in a stretch of rounds. */
interface Found {
  readonly images: number;
  /** Lanes of its images in the last round. */
  readonly lanes: readonly number[];
  /** How many of its lanes have come to the last round. */
  readonly going: number;
}

interface Sharing {
  readonly limit: number;
  /** Of all processes. */
  readonly lanes: number;
  /** What each process says. */
  readonly exchange: (said: Found) => Promise<Found[]>;
}

class Part<Image> {
  /** The round after the stretch. */
  end = 0;
  readonly #exchange: Sharing['exchange'];
  /** Images that all processes have still to take, and lanes that may have them. */
  #left: number;
  #going: number;
  /** Of the stretch: images before its last round, lanes that have come to that, and images there. */
  #before = 0;
  #came = 0;
  #last: { readonly lane: number; readonly image: Image }[] = [];

  constructor({ limit, lanes, exchange }: Sharing) {
    this.#exchange = exchange;
    this.#left = limit;
    this.#going = lanes;
    this.#begin();
  }

  get over(): boolean {
    return this.#left === 0 || this.#going === 0;
  }

  /** @returns the image where it is taken for certain: in its last round a stretch may have more than are left */
  add({ round, lane, image }: Row<Image>): Image[] {
    const last = round === this.end - 1;
    if (last) this.#came++;
    if (image === undefined) return [];
    if (last) this.#last.push({ lane, image });
    else this.#before++;
    return last ? [] : [image];
  }

  /** Ends the stretch. @returns the images of its last round that are taken */
  async agree(): Promise<Image[]> {
    const own = { images: this.#before + this.#last.length, lanes: this.#last.map(({ lane }) => lane), going: this.#came };
    const all = await this.#exchange(own);
    const lanes = all.flatMap((one) => one.lanes).toSorted((a, b) => a - b);
    const chosen = new Set(lanes.slice(0, this.#left));
    const taken = this.#last.filter(({ lane }) => chosen.has(lane));
    this.#left = Math.max(0, this.#left - sum(all.map(({ images }) => images)));
    this.#going = sum(all.map(({ going }) => going));
    if (!this.over) this.#begin();
    return taken.map(({ image }) => image);
  }

  #begin(): void {
    this.end += Math.max(1, Math.floor(this.#left / this.#going));
    [this.#before, this.#came, this.#last] = [0, 0, []];
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
