/** A contact sheet of a batch: what the recipe makes of real images, to look at before training on it. */
import sharp, { type OverlayOptions } from 'sharp';
import type { Batch, BatchView } from './batch/batch.js';

/** Pixels around every picture of the sheet, and between the patches of a set. */
const GAP = 4;

/**
 * A PNG with a column a sample and a row a view, in the recipe's order; a jigsaw view shows its nine patches as they come, shuffled,
 * and a multicrop view its crops.
 * The batch must not be released before this resolves.
 */
export async function contactSheet(batch: Batch): Promise<Uint8Array> {
  const views = Object.values(batch.views);
  const side = Math.max(...views.map((view) => tiles(view).across * (tileSide(view) + GAP))) + GAP;
  const pictures = views.flatMap((view, row) =>
    Array.from({ length: batch.size }, (_, column) => samplePictures(view, column, column * side + GAP, row * side + GAP)).flat(),
  );
  const size = { width: batch.size * side, height: views.length * side };
  const sheet = sharp({ create: { ...size, channels: 3, background: '#ffffff' } }).composite(pictures);
  return new Uint8Array(await sheet.removeAlpha().png().toBuffer());
}

function tileSide({ shape }: BatchView): number {
  return shape.at(-2) ?? 0;
}

/** [N, count, h, w, 3] is a set of patches or crops, shown in a square, [N, h, w, 3] one picture. */
function tiles({ shape }: BatchView): { across: number; count: number } {
  const count = shape.length === 5 ? (shape[1] ?? 1) : 1;
  return { across: Math.ceil(Math.sqrt(count)), count };
}

function samplePictures(view: BatchView, sample: number, left: number, top: number): OverlayOptions[] {
  const { across, count } = tiles(view);
  const side = tileSide(view);
  const bytes = 3 * side * side;
  return Array.from({ length: count }, (_, tile) => {
    const from = (sample * count + tile) * bytes;
    return {
      // Copied out of shared memory, which libvips reads after this call.
      input: Buffer.from(view.data.slice(from, from + bytes)),
      raw: { width: side, height: side, channels: 3 },
      left: left + (tile % across) * (side + GAP),
      top: top + Math.floor(tile / across) * (side + GAP),
    };
  });
}
