/** Pictures of a run's views, such as `views.png`: the first samples of the newest epoch as the trainer got them, a column a sample, a row a view. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Batch, BatchView } from '../pipeline/batch/batch.js';
import type { RunRecord } from './followed-run.js';

const SAMPLES = 8;
/** Pixels between pictures, transparent. */
const GAP = 4;

/** @param run folder of the run */
export type Keep = (png: Buffer, run: string) => Promise<void> | void;

export async function keepFile(png: Buffer, run: string): Promise<void> {
  const path = join(run, 'views.png');
  await writeFile(`${path}.partial`, png);
  await rename(`${path}.partial`, path);
}

export class BatchPicture {
  readonly #run: RunRecord;
  readonly #warn: (message: string) => void;
  readonly #keep: Keep;
  #epoch = -1;
  #writing: Promise<void> = Promise.resolve();

  /** @param keep takes a picture; by default it becomes `views.png` in the run's folder */
  constructor(run: RunRecord, warn: (message: string) => void, keep: Keep = keepFile) {
    this.#run = run;
    this.#warn = warn;
    this.#keep = keep;
  }

  /** The same batches. The first of each epoch is drawn before it is given. */
  async *of(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
    for await (const batch of batches) {
      if (batch.epoch !== this.#epoch) this.#draw(batch);
      this.#epoch = batch.epoch;
      yield batch;
    }
  }

  /** When what was drawn is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  #draw(batch: Batch): void {
    const sheet = sheetOf(batch);
    const before = this.#writing;
    this.#writing = (async () => {
      await before;
      const png = await sharp(sheet.data, { raw: { width: sheet.width, height: sheet.height, channels: 4 } })
        .png()
        .toBuffer();
      this.#run.assertOurs();
      await this.#keep(png, this.#run.path);
      // The run itself finds out whether its folder is lost, or its disk full.
    })().catch((error: unknown) => this.#warn(`views.png could not be written: ${error instanceof Error ? error.message : String(error)}`));
  }
}

/** A picture of pictures, RGBA. */
interface Sheet {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** How the pictures of a view lie. */
interface Row {
  readonly view: BatchView;
  /** Pictures of a sample, and how many of them lie side by side and below each other. */
  readonly count: number;
  readonly across: number;
  readonly down: number;
  /** Pixels. */
  readonly side: number;
}

function sheetOf(batch: Batch): Sheet {
  const columns = Math.min(SAMPLES, batch.size);
  const views = Object.values(batch.views).map(rowOf);
  const column = Math.max(...views.map(({ across, side }) => across * (side + GAP)));
  const [width, height] = [columns * column, views.reduce((sum, { down, side }) => sum + down * (side + GAP), 0)];
  const sheet: Sheet = { data: new Uint8Array(4 * width * height), width, height };
  let top = 0;
  for (const { view, count, across, down, side } of views) {
    for (let tile = 0; tile < columns * count; tile++) {
      const [sample, place] = [Math.floor(tile / count), tile % count];
      const left = sample * column + (place % across) * (side + GAP);
      paste(sheet, view.data.subarray(3 * side * side * tile), side, left, top + Math.floor(place / across) * (side + GAP));
    }
    top += down * (side + GAP);
  }
  return sheet;
}

/** [N, count, h, w, 3] is a set of patches or crops, shown in a square, [N, h, w, 3] one picture. */
function rowOf(view: BatchView): Row {
  const { shape } = view;
  const count = shape.length === 5 ? (shape[1] ?? 1) : 1;
  const across = Math.ceil(Math.sqrt(count));
  return { view, count, across, down: Math.ceil(count / across), side: shape.at(-2) ?? 0 };
}

/** Puts a square of RGB into the sheet. */
function paste({ data, width }: Sheet, pixels: Uint8Array, side: number, left: number, top: number): void {
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const [from, to] = [3 * (y * side + x), 4 * ((top + y) * width + left + x)];
      for (let channel = 0; channel < 3; channel++) data[to + channel] = pixels[from + channel] as number;
      data[to + 3] = 255;
    }
}
