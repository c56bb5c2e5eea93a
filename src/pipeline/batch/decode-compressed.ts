/** What a device does to the compressed images of a batch, done on the caller's thread by the decoder and the kernels of the workers. */
import type { PendingCrop, PendingView } from '../augment/defer.js';
import { Kernels, type Source } from '../augment/kernels.js';
import type { Views } from '../augment/recipe.js';
import { rescale, shrinkFor } from '../augment/shrink.js';
import { printable } from '../../common/printable.js';
import { decodeProblem, type ImageMemory, loadImage } from '../worker/decode.js';
import type { Batch, BatchView, CompressedImage, SampleInfo } from './batch.js';

/** One picture of a view, and the bytes of it. */
interface Cut {
  readonly crop: PendingCrop;
  readonly out: Uint8Array;
}

/**
 * Decodes the images of a batch that came compressed and writes their pictures into its views. The batch is then the one that the same options
 * give without `decode: 'device'`, byte for byte.
 *
 * Only for batches that are not released; the batch that it gives is released as the one that it got.
 *
 * @param wanted rows to decode, by default all; the others stay compressed
 * @throws Error if an image cannot be decoded, naming its sample
 */
export async function decodeCompressed<Named extends Views>(
  batch: Batch<Named>,
  wanted: (row: number) => boolean = () => true,
): Promise<Batch<Named>> {
  const { epoch, step, size, state, compressed, samples } = batch;
  const views: Readonly<Record<string, BatchView>> = batch.views;
  if (!compressed) return batch;
  const kernels = await Kernels.load(Math.max(...Object.values(views).map(sideOf)));
  for (const [row, image] of compressed.entries()) {
    if (!image || !wanted(row)) continue;
    const cuts = Object.values(views).flatMap((view) => cutsOf(view, row, size));
    try {
      await cutImage(kernels, image, cuts);
    } catch (error) {
      throw new Error(problemOf(samples[row], error), { cause: error });
    }
  }
  const left = compressed.map((image, row) => (wanted(row) ? undefined : image));
  const isLeft = (i: number, pictures: number): boolean => left[Math.floor((i * size) / pictures)] !== undefined;
  const written = Object.entries(views).map(([name, view]) => {
    const pending = view.pending?.map((picture, i, { length }) => (isLeft(i, length) ? picture : withoutCrop(picture)));
    return [name, { ...view, pending }] as const;
  });
  return {
    epoch,
    step,
    size,
    samples,
    state,
    ...(left.some((image) => image !== undefined) && { compressed: left }),
    views: Object.fromEntries(written) as Batch<Named>['views'],
    get plans() {
      return batch.plans;
    },
    retain: () => batch.retain(),
    release: () => batch.release(),
  };
}

/** Of a picture, which is square. */
function sideOf({ shape }: BatchView): number {
  return shape.at(-2) ?? 0;
}

function cutsOf(view: BatchView, row: number, rows: number): Cut[] {
  const { data, pending = [] } = view;
  const pictures = pending.length / rows;
  const bytes = 3 * sideOf(view) ** 2;
  return pending.slice(row * pictures, (row + 1) * pictures).flatMap(({ crop }, i) => {
    const at = (row * pictures + i) * bytes;
    return crop ? [{ crop, out: data.subarray(at, at + bytes) }] : [];
  });
}

async function cutImage(kernels: Kernels, { width, height, data }: CompressedImage, cuts: readonly Cut[]): Promise<void> {
  const crops = cuts.map(({ crop }) => crop);
  const memory: ImageMemory<Source> = {
    load: (image) => kernels.load(image.width, image.height, image.data),
    fill: (wide, high, _, write) => kernels.fill(wide, high, write),
  };
  const source = await loadImage(data, memory, {
    decoder: 'wasm',
    maxPixels: width * height,
    shrink: () => shrinkFor(crops),
    windows: () => crops.map(({ window }) => window),
  });
  for (const { crop, out } of cuts) {
    kernels.crop(source, rescale(crop, { width, height }, source), crop.mirrored);
    kernels.read(out);
  }
  kernels.unload(source);
}

function withoutCrop({ steps, jigsaw, turns }: PendingView): PendingView {
  return { steps, ...(jigsaw && { jigsaw }), ...(turns && { turns }) };
}

function problemOf(sample: SampleInfo | undefined, error: unknown): string {
  return printable(
    `sample ${sample?.key} of ${sample?.shard} cannot be decoded: ${decodeProblem(error)}. Mend or remove it, or use decode 'worker', which passes over bad samples.`,
  );
}
