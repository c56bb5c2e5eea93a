/** A backbone in its three modes: what it computes, and what it moves. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { resNet } from '#dist/model/network/architecture.js';
import { Backbone } from '#dist/model/network/backbone.js';
import { constantOf, differentiate, encode } from '#dist/model/network/differentiate.js';
import { type Layers, Network } from '#dist/model/network/network.js';
import { numbers } from './small.js';

let engine: Engine;
let network: Network;
let backbone: Backbone;
beforeAll(async () => {
  engine = await selectEngine('wasm');
  const net = resNet({ arch: 'resnet18', width: 4, stem: 'small' });
  network = new Network(engine, [net], { bnGroups: 1, seed: 1 });
  backbone = new Backbone(network, net);
});
afterAll(() => engine.dispose());

const images = (): tf.Tensor4D => tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 7);
const buffers = () => numbers(Object.fromEntries(network.buffers));
const first = (maps: Readonly<Record<'res5', tf.Tensor4D>>) => [...tf.slice(maps.res5, 0, 1).dataSync()];

describe('a backbone', () => {
  test('gives a map a stage, each of half the side and twice the channels', () => {
    const maps = backbone.maps(images());
    const shapes = Object.fromEntries(Object.entries(maps).map(([stage, { shape }]) => [stage, shape]));
    expect(shapes).toEqual({ res2: [4, 16, 16, 4], res3: [4, 8, 8, 8], res4: [4, 4, 4, 16], res5: [4, 2, 2, 32] });
  });

  test('in eval mode sees each image for itself and moves nothing', () => {
    const before = buffers();
    const batch = images();
    const alone = backbone.maps(tf.slice(batch, 0, 1));
    const together = first(backbone.maps(batch));
    [...alone.res5.dataSync()].forEach((value, i) => expect(value).toBeCloseTo(together[i] ?? Number.NaN, 5));
    expect(buffers()).toEqual(before);
  });

  test('in train mode normalises by the batch and moves the running statistics', () => {
    const before = buffers();
    const batch = images();
    const trained = encode(network, (layers) => backbone.maps(batch, layers));
    expect(first(trained)).not.toEqual(first(backbone.maps(batch)));
    for (const [name, values] of Object.entries(buffers())) expect({ [name]: values }).not.toEqual({ [name]: before[name] });
  });

  test('is reached by gradients in train mode, and not where it is frozen', () => {
    const batch = images();
    const norm = (features: (layers: Layers) => tf.Tensor): number => {
      const { gradients } = differentiate(network, (layers) => {
        // Beside a term that reaches every parameter, since each has to have a gradient.
        const reached = tf.mul(tf.sum(backbone.features(batch, layers).res5), 0) as tf.Scalar;
        return {
          loss: tf.add<tf.Scalar>(reached, tf.sum(features(layers))),
          terms: {},
          featureStd: tf.scalar(0),
          features: tf.zeros<tf.Rank.R2>([1, 1]),
        };
      });
      return Object.values(gradients).reduce((sum, gradient) => sum + (tf.norm(gradient).dataSync()[0] ?? Number.NaN), 0);
    };
    expect(norm((layers) => tf.square(backbone.features(batch, layers).res5))).toBeGreaterThan(0.1);
    expect(norm(() => constantOf(batch, (x) => tf.square(backbone.features(x as tf.Tensor4D).res5)))).toBe(0);
  });
});
