/** The forward pass of a ResNet over whatever convolution and norm the caller supplies (train or eval mode). */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { LAST_STAGE, projects, type ResNet, type Stage, STAGES, type Unit } from './architecture.js';
import type { Layers } from './network.js';

/** Layers of images. */
type ImageLayers = Pick<Layers, 'convolution' | 'norm'>;

/**
 * Runs images [N, H, W, 3] through the stages up to `last`.
 *
 * Every unit runs in its own tidy: outside a gradient the peak is one unit's tensors, inside it what the tape keeps.
 *
 * @param read takes what is wanted of a stage's map [N, h, w, C], which is freed afterwards
 */
export function stages<T>(
  net: ResNet,
  layers: ImageLayers,
  images: Tensor4D,
  read: (map: Tensor4D, stage: Stage) => T,
  last: Stage = LAST_STAGE,
): Record<Stage, T> {
  let x = tf.tidy(() => stem(net, images, layers));
  const result: Partial<Record<Stage, T>> = {};
  for (const stage of STAGES.slice(0, STAGES.indexOf(last) + 1)) {
    x = stageOf(net, layers, x, stage);
    result[stage] = read(x, stage);
  }
  x.dispose();
  return result as Record<Stage, T>;
}

/** What a stage makes of the map of the one before, [N, h, w, C], which is freed. */
export function stageOf(net: ResNet, layers: ImageLayers, map: Tensor4D, stage: Stage): Tensor4D {
  let x = map;
  for (const unit of net.stages[STAGES.indexOf(stage)] ?? []) {
    const input = x;
    x = tf.tidy(() => (net.bottleneck ? bottleneckUnit(unit, input, layers) : basicUnit(unit, input, layers)));
    input.dispose();
  }
  return x;
}

/** What `read` takes of the map of the last stage alone, which is freed afterwards. */
export function lastStage<T>(net: ResNet, layers: ImageLayers, images: Tensor4D, read: (map: Tensor4D) => T): T {
  return stages(net, layers, images, (map, stage) => (stage === LAST_STAGE ? read(map) : undefined))[LAST_STAGE] as T;
}

/** The global average of a map, [N, h, w, C] -> [N, C]. */
export function globalAverage(map: Tensor4D): Tensor2D {
  return tf.mean(map, [1, 2]);
}

function stem(net: ResNet, images: Tensor4D, { convolution, norm }: ImageLayers): Tensor4D {
  if (net.stem === 'small') return norm('bn1', convolution('conv1', images, 1), { relu: true });
  return tf.maxPool(norm('bn1', convolution('conv1', images, 2), { relu: true }), 3, 2, 1);
}

function basicUnit(unit: Unit, x: Tensor4D, { convolution, norm }: ImageLayers): Tensor4D {
  const { name, stride } = unit;
  const h = norm(`${name}.bn1`, convolution(`${name}.conv1`, x, stride), { relu: true });
  const residual = shortcut(unit, x, { convolution, norm });
  return norm(`${name}.bn2`, convolution(`${name}.conv2`, h, 1), { relu: true, residual });
}

function bottleneckUnit(unit: Unit, x: Tensor4D, { convolution, norm }: ImageLayers): Tensor4D {
  const { name, stride } = unit;
  let h = norm(`${name}.bn1`, convolution(`${name}.conv1`, x, 1), { relu: true });
  h = norm(`${name}.bn2`, convolution(`${name}.conv2`, h, stride), { relu: true });
  const residual = shortcut(unit, x, { convolution, norm });
  return norm(`${name}.bn3`, convolution(`${name}.conv3`, h, 1), { relu: true, residual });
}

function shortcut(unit: Unit, x: Tensor4D, { convolution, norm }: ImageLayers): Tensor4D {
  if (!projects(unit)) return x;
  return norm(`${unit.name}.downsample.1`, convolution(`${unit.name}.downsample.0`, x, unit.stride), {});
}
