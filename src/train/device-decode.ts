/** The images that a pipeline with `decode: 'device'` leaves compressed: decoded by the engine's device, and cut into their views. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { counted } from '../common/counted.js';
import { printable } from '../common/printable.js';
import type { DecodedImages, Engine, JpegDecoder } from '../engine/index.js';
import type { Batch, BatchView, SampleInfo } from '../pipeline/batch/batch.js';
import { decodeCompressed } from '../pipeline/batch/decode-compressed.js';
import { reasonOf } from '../pipeline/source/source.js';
import type { TrainHooks } from './hooks.js';
import { OptionsError } from './options-error.js';

/** @throws OptionsError where the engine's device cannot decode */
export function openDecoder(engine: Engine): JpegDecoder {
  const { name } = engine;
  try {
    if (engine.openJpegDecoder) return engine.openJpegDecoder();
  } catch (error) {
    throw new OptionsError(`decode device: ${reasonOf(error)}; or leave --decode out, and workers decode`, { cause: error });
  }
  throw new OptionsError(`decode device: engine ${name} decodes no JPEGs; use engine torch on an NVIDIA GPU, or leave --decode out`);
}

/** Tells of the first image that the device does not decode, and at the end of how many there were. */
export function countRefused({ onInfo, onWarning }: TrainHooks) {
  let total = 0;
  return {
    add(samples: readonly SampleInfo[]): void {
      const [first] = samples;
      if (total === 0 && first)
        onWarning?.(
          printable(`the device does not decode ${first.key} of ${first.shard}: this process does, and others like it, which is slower`),
        );
      total += samples.length;
    },
    tell(): void {
      if (total > 0) onInfo?.(`the device did not decode ${counted(total, 'image')}: this process did`);
    },
  };
}

/** A batch whose images are on the device, or in its views. */
export interface DecodedBatch {
  readonly batch: Batch;
  /** A view as the device has it: what was written to it, and what is cut out of the images. Levels, in the view's shape. */
  levels(view: BatchView): Tensor;
  dispose(): void;
}

/**
 * Images that the device refuses are decoded on this thread, as a worker would have.
 *
 * @param onRefused told of the samples of these
 * @throws Error for an image that nobody can decode, naming its sample
 */
export async function decodeOnDevice(
  batch: Batch,
  decoder: JpegDecoder,
  engine: Pick<Engine, 'upload'>,
  onRefused: (samples: readonly SampleInfo[]) => void = () => undefined,
): Promise<DecodedBatch> {
  const rows = [...(batch.compressed ?? []).entries()].flatMap(([row, image]) => (image ? [{ row, image }] : []));
  const images = decoder.decode(rows.map(({ image }) => image));
  try {
    const refused = new Set(images.refused.map((i) => rows[i]?.row));
    if (refused.size > 0) onRefused(batch.samples.filter((_, row) => refused.has(row)));
    const whole = refused.size > 0 ? await decodeCompressed(batch, (row) => refused.has(row)) : batch;
    const places = new Map(rows.map(({ row }, i) => [row, i]));
    return {
      batch: whole,
      levels: (view) => levelsOf(view, { size: batch.size, images, places, engine }),
      dispose: () => images.dispose(),
    };
  } catch (error) {
    images.dispose();
    throw error;
  }
}

interface Sources {
  /** Samples of the batch. */
  readonly size: number;
  readonly images: DecodedImages;
  /** Of each row's image among those that were decoded. */
  readonly places: ReadonlyMap<number, number>;
  readonly engine: Pick<Engine, 'upload'>;
}

function levelsOf(view: BatchView, { size, images, places, engine }: Sources): Tensor {
  const { data, shape, pending = [] } = view;
  const cuts = pending.flatMap(({ crop }, i) => {
    const image = places.get(Math.floor((i * size) / pending.length));
    return crop && image !== undefined ? [{ ...crop, image, picture: i }] : [];
  });
  if (cuts.length === 0) return engine.upload(data, shape, 'levels');
  const [side = 0] = shape.slice(-2);
  return tf.tidy(() => {
    const cut = images.cut(cuts, side);
    if (cuts.length === pending.length) return tf.reshape(cut, [...shape]);
    const isCut = new Set(cuts.map(({ picture }) => picture));
    const written = pending.flatMap((_, i) => (isCut.has(i) ? [] : [i]));
    const bytes = 3 * side * side;
    const pixels = new Uint8Array(written.length * bytes);
    for (const [n, i] of written.entries()) pixels.set(data.subarray(i * bytes, (i + 1) * bytes), n * bytes);
    const uploaded = engine.upload(pixels, [written.length, side, side, 3], 'levels') as Tensor4D;
    const order = new Int32Array(pending.length);
    for (const [place, i] of [...cuts.map(({ picture }) => picture), ...written].entries()) order[i] = place;
    return tf.reshape(tf.gather(tf.concat([cut, uploaded]), tf.tensor1d(order, 'int32')), [...shape]);
  });
}
