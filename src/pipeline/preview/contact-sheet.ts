/**
 * What a recipe makes of real images, to look at before training on it: a column a sample, the image itself with the crop of each view
 * marked on it, and below it a row a view, each picture with all that was drawn of it.
 */
import sharp from 'sharp';
import { shardName } from '../source/identity.js';
import { type View, viewShape } from '../augment/recipe.js';
import type { DrawnPicture } from '../batch/plans.js';
import { PIPELINE_DEFAULTS } from '../defaults.js';
import { decodeImage } from '../worker/decode.js';
import { lines, patchWords, pictureWords, shortened } from './captions.js';
import type { Box, Colour, Pixels } from './canvas.js';
import { type Cell, drawSheet, type Row, type Sheet, TILE_GAP, type Tile } from './layout.js';
import type { SampleViews } from './sample-views.js';

/** Of the views in the recipe's order, and again from the first; far from each other for colour-blind eyes, too. */
const COLOURS: readonly Colour[] = [
  [255, 59, 92],
  [0, 200, 255],
  [255, 214, 10],
  [52, 224, 107],
  [200, 120, 255],
  [255, 149, 0],
  [255, 255, 255],
  [140, 150, 165],
];

/** Pixels that a picture is about as wide as at least, so that small ones can be seen and their captions have room. */
const LEAST_WIDTH: Readonly<Record<View['kind'], number>> = { image: 160, placed: 160, jigsaw: 60, multicrop: 102, rotations: 102 };

/** How the pictures of a view lie in a cell. */
interface Arrangement {
  readonly side: number;
  readonly count: number;
  readonly across: number;
  readonly zoom: number;
  readonly step: number;
  /** Pixels between one tile and the next: words that are next to each other need more of it than patches. */
  readonly gap: number;
}

function arrange(view: View): Arrangement {
  const side = view.kind === 'jigsaw' ? view.patchSize : view.size;
  const count = viewShape(view).at(-4) ?? 1;
  const least = LEAST_WIDTH[view.kind];
  const zoom = Math.max(1, Math.round(least / side));
  const gap = view.kind === 'multicrop' ? 3 * TILE_GAP : TILE_GAP;
  return { side, count, across: Math.ceil(Math.sqrt(count)), zoom, gap, step: Math.max(least, side * zoom) + gap };
}

/**
 * The first row has the images themselves, each further one a view, in the recipe's order.
 * @throws RangeError for a sheet that is too large to be looked at; Error for an image that cannot be decoded
 */
export async function contactSheet(drawn: SampleViews, { maxPixels }: { readonly maxPixels?: number | undefined } = {}): Promise<Sheet> {
  const { recipe, seed, epoch } = drawn;
  const views = Object.entries(recipe.views).map(([name, view], i) => {
    const colour = COLOURS[i % COLOURS.length] as Colour;
    return { name, view, colour, arrangement: arrange(view) };
  });
  const width = Math.max(...views.map(({ arrangement: { across, step, gap } }) => across * step - gap));
  const cells: Cell[] = [];
  for (const [column, image] of drawn.images.entries()) {
    const boxes = views.flatMap(({ name, view, colour }) => plansOf(drawn, name, view, column).map(({ box }) => ({ box, colour })));
    cells.push(imageCell(drawn, column, await shrunk(image, width, maxPixels), boxes, width));
  }
  const note = 'as it lies in its shard, with the crop of each view in its colour';
  const originals: Row = { name: 'original', note, step: width + TILE_GAP, cells };
  const rows = views.map(({ name, view, colour, arrangement }): Row => ({
    name,
    note: noteOf(view, arrangement),
    colour,
    step: arrangement.step,
    cells: drawn.samples.map((_, column) => viewCell(drawn, name, view, arrangement, column, width)),
  }));
  return drawSheet(`${recipe.name}  seed ${seed}  epoch ${epoch}`, [originals, ...rows], width);
}

function plansOf({ plans }: SampleViews, name: string, view: View, column: number): readonly DrawnPicture[] {
  const count = view.kind === 'multicrop' ? view.crops : 1;
  return (plans[name] ?? []).slice(column * count, (column + 1) * count);
}

/** An image whole, in a square of `side` pixels, and how many of those a pixel of it takes. */
interface Shrunk {
  readonly pixels: Pixels;
  readonly scaleX: number;
  readonly scaleY: number;
}

async function shrunk(image: Uint8Array, side: number, maxPixels: number = PIPELINE_DEFAULTS.maxPixels): Promise<Shrunk> {
  const { width, height, data } = await decodeImage(image, { decoder: PIPELINE_DEFAULTS.decoder, maxPixels });
  const scale = side / Math.max(width, height);
  const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  const resized = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false }).resize(size.width, size.height, {
    fit: 'fill',
  });
  const pixels = { ...size, data: new Uint8Array(await resized.raw().toBuffer()) };
  return { pixels, scaleX: size.width / width, scaleY: size.height / height };
}

function imageCell(
  { samples }: SampleViews,
  column: number,
  { pixels, scaleX, scaleY }: Shrunk,
  crops: readonly { readonly box: Box; readonly colour: Colour }[],
  width: number,
): Cell {
  const outlines = crops.map(({ box, colour }) => {
    const [left, right] = [Math.round(box.left * scaleX), Math.round((box.left + box.width) * scaleX)];
    const [top, bottom] = [Math.round(box.top * scaleY), Math.round((box.top + box.height) * scaleY)];
    return { colour, box: { left, top, width: right - left, height: bottom - top } };
  });
  const { key, shard, label } = samples[column] ?? { key: '', shard: '' };
  const facts = [`${Math.round(pixels.width / scaleX)} x ${Math.round(pixels.height / scaleY)}`];
  if (label !== undefined) facts.push(`label ${label}`);
  return {
    tiles: [{ pixels, zoom: 1, caption: [], outlines }],
    across: 1,
    caption: [shortened(key, width), shortened(shardName(shard), width), ...lines(facts, width)],
  };
}

function viewCell(
  drawn: SampleViews,
  name: string,
  view: View,
  { side, count, across, zoom, step, gap }: Arrangement,
  column: number,
  width: number,
): Cell {
  const data = drawn.views[name]?.data ?? new Uint8Array();
  const plans = plansOf(drawn, name, view, column);
  const bytes = 3 * side * side;
  const [first] = plans;
  const tiles = Array.from({ length: count }, (_, i): Tile => {
    const from = (column * count + i) * bytes;
    const plan = plans[i];
    const words = first?.jigsaw ? patchWords(first.jigsaw, i) : view.kind === 'multicrop' && plan ? pictureWords(plan) : [];
    return { pixels: { width: side, height: side, data: data.subarray(from, from + bytes) }, zoom, caption: lines(words, step - gap) };
  });
  return { tiles, across, caption: view.kind === 'multicrop' || !first ? [] : lines(pictureWords(first), width) };
}

function noteOf(view: View, { side, count, zoom }: Arrangement): string {
  const shown = zoom > 1 ? `, shown ${zoom} times as large` : '';
  switch (view.kind) {
    case 'image':
      return `${side} x ${side}${shown}`;
    case 'placed':
      return `${side} x ${side}${shown}, of which the box is pasted onto another view`;
    case 'jigsaw':
      return `9 patches of ${side} x ${side}${shown}, with the cell (0 to 8) and the x,y in it`;
    case 'rotations':
      return `a picture of ${side} x ${side} in its 4 quarter turns, counter-clockwise${shown}`;
    case 'multicrop':
      return `${count} crops of ${side} x ${side}${shown}`;
  }
}
