/** What an evaluation found, to look at: PNGs. */
import sharp, { type OverlayOptions } from 'sharp';
import type { EvaluationImages } from './images.js';

/** Pixels of a sheet's side, about; a cell has at least one. */
const CONFUSION_SIDE = 960;
const LEAST_CELL = 2;

/**
 * A confusion matrix: a row a class, from top to bottom, a column what it is taken for. White is never, black always; the diagonal is what
 * is right.
 *
 * @param counts [classes, classes], row-major
 */
export async function confusionSheet(counts: Uint32Array, classes: number): Promise<Uint8Array> {
  const cell = Math.max(LEAST_CELL, Math.round(CONFUSION_SIDE / classes));
  const side = classes * cell;
  const pixels = new Uint8Array(side * side);
  for (let row = 0; row < classes; row++) {
    const of = counts.subarray(row * classes, (row + 1) * classes);
    const total = of.reduce((sum, count) => sum + count, 0);
    for (let column = 0; column < classes; column++) {
      const level = total === 0 ? 255 : Math.round(255 * (1 - (of[column] ?? 0) / total));
      for (let y = 0; y < cell; y++)
        pixels.fill(level, (row * cell + y) * side + column * cell, (row * cell + y) * side + (column + 1) * cell);
    }
  }
  const png = sharp(pixels, { raw: { width: side, height: side, channels: 1 } }).png();
  return new Uint8Array(await png.toBuffer());
}

/** A validation image and the training images that are nearest to it, by their numbers. */
export interface Neighbours {
  readonly query: number;
  readonly label: number;
  readonly bank: readonly { readonly image: number; readonly label: number }[];
}

const GAP = 4;
const FRAME = 3;
const SAME_CLASS = '#2e8b57';
const OTHER_CLASS = '#c0392b';
const QUERY = '#ffffff';

/** A row a query, at the left, and its neighbours, nearest first: framed green where they are of its class, red where not. */
export async function neighbourSheet(
  queries: EvaluationImages,
  bank: EvaluationImages,
  rows: readonly Neighbours[],
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const asked = await pictures(queries, new Set(rows.map(({ query }) => query)), signal);
  const found = await pictures(bank, new Set(rows.flatMap((row) => row.bank.map(({ image }) => image))), signal);
  const side = [...asked.values()][0]?.side ?? 1;
  const step = side + 2 * FRAME + GAP;
  const place = (picture: Picture | undefined, colour: string, row: number, column: number): OverlayOptions[] =>
    picture === undefined ? [] : framed(picture, colour, GAP + column * step, GAP + row * step);
  const tiles = rows.flatMap(({ query, label, bank: nearest }, row) => [
    ...place(asked.get(query), QUERY, row, 0),
    ...nearest.flatMap((one, at) => place(found.get(one.image), one.label === label ? SAME_CLASS : OTHER_CLASS, row, at + 1)),
  ]);
  const columns = 1 + Math.max(...rows.map((row) => row.bank.length));
  const size = { width: GAP + columns * step, height: GAP + rows.length * step };
  const sheet = sharp({ create: { ...size, channels: 3, background: '#ffffff' } }).composite(tiles);
  return new Uint8Array(await sheet.removeAlpha().png().toBuffer());
}

interface Picture {
  readonly pixels: Uint8Array;
  readonly side: number;
}

function framed({ pixels, side }: Picture, colour: string, left: number, top: number): OverlayOptions[] {
  const outer = side + 2 * FRAME;
  return [
    { input: { create: { width: outer, height: outer, channels: 3, background: colour } }, left, top },
    { input: Buffer.from(pixels), raw: { width: side, height: side, channels: 3 }, left: left + FRAME, top: top + FRAME },
  ];
}

/** Images by their numbers, in the order in which `blocks` gives them. */
async function pictures(
  images: EvaluationImages,
  wanted: ReadonlySet<number>,
  signal: AbortSignal | undefined,
): Promise<Map<number, Picture>> {
  const found = new Map<number, Picture>();
  let first = 0;
  for await (const { pixels, shape } of images.blocks(signal)) {
    const [count, side] = shape;
    const bytes = 3 * side * side;
    for (let row = 0; row < count; row++)
      if (wanted.has(first + row)) found.set(first + row, { pixels: pixels.slice(row * bytes, (row + 1) * bytes), side });
    first += count;
    if (found.size === wanted.size) break;
  }
  return found;
}
