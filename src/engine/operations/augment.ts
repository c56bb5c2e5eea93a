/**
 * `Engine.augment` as TensorFlow.js operations.
 *
 * Every picture has its own list of steps, so at each position of the lists the pictures are gathered by operation, each group is computed at
 * once with its parameters as [n, 1, 1, 1], and the groups are put back in order.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D, TypedArray } from '@tensorflow/tfjs-core';
import { boxWeights } from '../../common/box-blur.js';
import type { Engine } from '../engine.js';
import { IMAGE_MEAN, IMAGE_STD } from '../images.js';
import type { PictureStep } from '../picture-step.js';
import { checkPictures } from './picture-steps.js';
import { transformPictures } from './transform-pictures.js';

type Operation<Op extends PictureStep['op']> = (images: Tensor4D, steps: readonly Extract<PictureStep, { readonly op: Op }>[]) => Tensor4D;

/** Pillow's L, of 0..255. */
const LUMA = [19595 / 65536, 38470 / 65536, 7471 / 65536] as const;
/** What the kernels add before they cut off a blend's fraction, so that exact levels survive rounding errors. */
const BLEND_BIAS = 1 / 128;

export const compositeAugment: Engine['augment'] = (levels, steps) => {
  checkPictures(levels, steps);
  return tf.tidy(() => {
    const centred = tf.sub(applySteps(levels, steps), tf.mul(IMAGE_MEAN, 255));
    return tf.div<Tensor4D>(centred, tf.mul(IMAGE_STD, 255));
  });
};

/**
 * @param images levels 0..255, [N, H, W, 3]
 * @param steps one list a picture, done from left to right
 */
function applySteps(images: Tensor4D, steps: readonly (readonly PictureStep[])[]): Tensor4D {
  return tf.tidy(() => {
    let current = images;
    const positions = Math.max(0, ...steps.map(({ length }) => length));
    for (let position = 0; position < positions; position++)
      current = applyPosition(
        current,
        steps.map((list) => list[position]),
      );
    return current === images ? images.clone() : current;
  });
}

function applyPosition(images: Tensor4D, steps: readonly (PictureStep | undefined)[]): Tensor4D {
  const rows = new Map<PictureStep['op'] | undefined, number[]>();
  steps.forEach((step, row) => {
    const group = rows.get(step?.op);
    if (group) group.push(row);
    else rows.set(step?.op, [row]);
  });
  const groups = [...rows];
  const parts = groups.map(([op, members]) => {
    const part = groups.length === 1 ? images : tf.gather(images, tf.tensor1d(members, 'int32'));
    return op === undefined
      ? part
      : apply(
          op,
          part,
          members.flatMap((row) => steps[row] ?? []),
        );
  });
  if (parts.length === 1) return parts[0] as Tensor4D;
  const order = groups.flatMap(([, members]) => members);
  const back = Int32Array.from(order.keys()).toSorted((a, b) => (order[a] ?? 0) - (order[b] ?? 0));
  return tf.gather(tf.concat(parts), tf.tensor1d(back, 'int32'));
}

function apply(op: PictureStep['op'], images: Tensor4D, steps: readonly PictureStep[]): Tensor4D {
  const operation = OPERATIONS[op] as (images: Tensor4D, steps: readonly PictureStep[]) => Tensor4D;
  return tf.tidy(() => operation(images, steps));
}

/** One value a picture, to be broadcast over its pixels. */
function each<S>(steps: readonly S[], value: (step: S) => number): Tensor4D {
  return tf.tensor4d(steps.map(value), [steps.length, 1, 1, 1]);
}

function luma(images: Tensor4D): Tensor4D {
  return tf.floor(tf.add(tf.sum(tf.mul(images, LUMA), 3, true), 0.5));
}

/** Pillow's Image.blend: `from` at factor 0, the image at 1, beyond it above. */
function blend(from: Tensor4D, images: Tensor4D, factors: Tensor4D): Tensor4D {
  const mixed = tf.add(from, tf.mul(factors, tf.sub(images, from)));
  return tf.clipByValue(tf.floor(tf.add(mixed, BLEND_BIAS)), 0, 255) as Tensor4D;
}

function contrast(images: Tensor4D, steps: readonly { readonly factor: number }[]): Tensor4D {
  const mean = tf.floor(tf.add(tf.mean(luma(images), [1, 2], true), 0.5)) as Tensor4D;
  return blend(
    mean,
    images,
    each(steps, ({ factor }) => factor),
  );
}

/** Through Pillow's 8-bit HSV (Convert.c): hue is quantised as there, and as in the kernels saturation is not. */
function hue(images: Tensor4D, steps: readonly { readonly shift: number }[]): Tensor4D {
  const [r, g, b] = tf.split(images, 3, 3) as [Tensor4D, Tensor4D, Tensor4D];
  const value = tf.max(images, 3, true) as Tensor4D;
  const chroma = tf.sub(value, tf.min(images, 3, true)) as Tensor4D;
  const divisor = tf.maximum(chroma, 1);
  const red = tf.equal(value, r);
  const green = tf.equal(value, g);
  const fromRed = tf.div(tf.sub(g, b), divisor);
  const sextant = tf.where(
    red,
    tf.where(tf.less(fromRed, 0), tf.add(fromRed, 6), fromRed),
    tf.where(green, tf.add(tf.div(tf.sub(b, r), divisor), 2), tf.add(tf.div(tf.sub(r, g), divisor), 4)),
  );
  const hue8 = tf.floor(tf.mul(sextant, 42.5));
  const turned = tf.mul(
    tf.mod(
      tf.add(
        hue8,
        each(steps, ({ shift }) => Math.trunc(shift * 255) & 255),
      ),
      256,
    ),
    6,
  );
  // How far a channel is from full is a trapezium over the hue circle, in which a sextant is 255.
  const away = tf.concat(
    [tf.sub(510, tf.abs(tf.sub(turned, 765))), tf.sub(tf.abs(tf.sub(turned, 510)), 255), tf.sub(tf.abs(tf.sub(turned, 1020)), 255)],
    3,
  );
  return tf.sub(value, tf.round(tf.mul(chroma, tf.div(tf.clipByValue(away, 0, 255), 255))));
}

/** Pillow's GaussianBlur: three box blurs of a fractional radius along each axis, the edges repeated. */
function gaussianBlur(images: Tensor4D, steps: readonly { readonly sigma: number }[]): Tensor4D {
  const boxes = steps.map(({ sigma }) => boxWeights(sigma));
  const reach = Math.max(...boxes.map(({ length }) => (length - 1) / 2));
  const weights = Array.from({ length: 2 * reach + 1 }, (_, tap) => each(boxes, (box) => box[tap - reach + (box.length - 1) / 2] ?? 0));
  const along = (input: Tensor4D, axis: 1 | 2): Tensor4D => {
    const side = input.shape[axis];
    const places = Array.from({ length: side + 2 * reach }, (_, i) => Math.min(Math.max(i - reach, 0), side - 1));
    const padded = tf.gather(input, tf.tensor1d(places, 'int32'), axis);
    return weights
      .map((weight, tap) => tf.mul(tf.slice(padded, axis === 1 ? [0, tap, 0, 0] : [0, 0, tap, 0], input.shape), weight))
      .reduce((sum, term) => tf.add(sum, term)) as Tensor4D;
  };
  const axes = [1, 1, 1, 2, 2, 2] as const;
  return tf.round(axes.reduce(along, images));
}

function autoContrast(images: Tensor4D): Tensor4D {
  const low = tf.min(images, [1, 2], true);
  const range = tf.sub(tf.max(images, [1, 2], true), low);
  // The small addend keeps what is a whole level in exact arithmetic from being cut to the one below.
  const stretched = tf.floor(tf.add(tf.div(tf.mul(tf.sub(images, low), 255), tf.maximum(range, 1)), 1e-3));
  return tf.where(tf.greater(range, 0), stretched, images) as Tensor4D;
}

function sharpness(images: Tensor4D, steps: readonly { readonly factor: number }[]): Tensor4D {
  const [samples, height, width] = images.shape;
  if (height < 3 || width < 3) return images.clone();
  const kernel = tf.div(tf.tensor4d([1, 1, 1, 1, 5, 1, 1, 1, 1], [3, 3, 1, 1]), 13) as tf.Tensor4D;
  const inner = tf.floor(tf.add(tf.depthwiseConv2d(images, tf.tile(kernel, [1, 1, 3, 1]) as tf.Tensor4D, 1, 'valid'), 0.5));
  // The outermost pixels stay as they are.
  const middle = tf.slice(images, [0, 1, 0, 0], [samples, height - 2, width, 3]);
  const rows = tf.concat(
    [
      tf.slice(middle, [0, 0, 0, 0], [samples, height - 2, 1, 3]),
      inner,
      tf.slice(middle, [0, 0, width - 1, 0], [samples, height - 2, 1, 3]),
    ],
    2,
  );
  const smooth = tf.concat(
    [tf.slice(images, [0, 0, 0, 0], [samples, 1, width, 3]), rows, tf.slice(images, [0, height - 1, 0, 0], [samples, 1, width, 3])],
    1,
  ) as Tensor4D;
  return blend(
    smooth,
    images,
    each(steps, ({ factor }) => factor),
  );
}

/** Pillow's ImageOps.equalize. Levels are counted on the host. */
function equalize(images: Tensor4D): Tensor4D {
  const size = images.size / images.shape[0];
  const levels = images.dataSync().slice();
  for (let first = 0; first < images.size; first += size)
    for (let channel = 0; channel < 3; channel++) equalizeChannel(levels.subarray(first + channel, first + size));
  return tf.tensor4d(levels, images.shape);
}

/** Of a channel's levels, three apart. */
function equalizeChannel(levels: TypedArray): void {
  const counts = new Uint32Array(256);
  for (let i = 0; i < levels.length; i += 3) counts[levels[i] as number] = (counts[levels[i] as number] as number) + 1;
  const last = Math.max(
    0,
    counts.findLastIndex((count) => count > 0),
  );
  const step = Math.floor((Math.ceil(levels.length / 3) - (counts[last] ?? 0)) / 255);
  if (step === 0) return;
  let sum = Math.floor(step / 2);
  const table = counts.map((count) => {
    const level = Math.min(Math.floor(sum / step), 255);
    sum += count;
    return level;
  });
  for (let i = 0; i < levels.length; i += 3) levels[i] = table[levels[i] as number] as number;
}

const OPERATIONS: { readonly [Op in PictureStep['op']]: Operation<Op> } = {
  brightness: (images, steps) =>
    blend(
      tf.zerosLike(images),
      images,
      each(steps, ({ factor }) => factor),
    ),
  contrast,
  saturation: (images, steps) =>
    blend(
      luma(images),
      images,
      each(steps, ({ factor }) => factor),
    ),
  hue,
  grayscale: (images) => tf.tile<Tensor4D>(luma(images), [1, 1, 1, 3]),
  gaussianBlur,
  autoContrast,
  equalize,
  rotate: transformPictures,
  shearX: transformPictures,
  shearY: transformPictures,
  translateX: transformPictures,
  translateY: transformPictures,
  sharpness,
  invert: (images) => tf.sub(255, images),
  posterize: (images, steps) => {
    const unit = each(steps, ({ bits }) => 2 ** (8 - bits));
    return tf.mul(tf.floor(tf.div(images, unit)), unit);
  },
  solarize: (images, steps) =>
    tf.where(
      tf.less(
        images,
        each(steps, ({ threshold }) => threshold),
      ),
      images,
      tf.sub(255, images),
    ),
  solarizeAdd: (images, steps) =>
    tf.where(
      tf.less(
        images,
        each(steps, ({ threshold }) => threshold),
      ),
      tf.minimum(
        tf.add(
          images,
          each(steps, ({ add }) => add),
        ),
        255,
      ),
      images,
    ) as Tensor4D,
};
