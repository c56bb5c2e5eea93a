/** Networks of regions as detectors have them: a backbone, RoIAlign of one box for each image, and a head. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { roiAlign } from '../../engine/operations/roi-align.js';
import { LAST_STAGE, type ResNet, resNet, type ResNetOptions, type Stage, STAGES, strideOf } from './architecture.js';
import { convHead } from './conv-head.js';
import { fpn } from './fpn.js';
import { mlp } from './heads.js';
import type { Layers } from './network.js';
import type { NetworkSpecs } from './parameters.js';
import { globalAverage, stageOf, stages } from './resnet.js';

export interface RegionNetworkOptions extends ResNetOptions {
  readonly form: 'c4' | 'fpn';
  readonly bins?: number | undefined;
  readonly hidden?: number | undefined;
  readonly fpnChannels?: number | undefined;
  readonly dim: number;
}

export interface RegionNetwork {
  readonly net: ResNet;
  readonly heads: readonly NetworkSpecs[];
  readonly specs: readonly NetworkSpecs[];
  /** Where regions are read, the deepest last. */
  readonly levels: readonly string[];
  /** Options that were left out. */
  readonly implied: Pick<RegionNetworkOptions, 'bins' | 'hidden' | 'fpnChannels'>;
  /**
   * @param boxes [N, 4], pixels of the images
   * @param deepest what is read in their place on the deepest level
   * @returns `features` of the last stage [N, C], and of each level the head's output, [N, dim], not normalised
   */
  readonly forward: (
    layers: Layers,
    images: Tensor4D,
    boxes: Tensor2D,
    deepest?: Tensor2D,
  ) => { readonly features: Tensor2D; readonly regions: Record<string, Tensor2D> };
}

/** What is beyond each option's reach is what detectron2's and the authors' configurations have. */
export function regionNetwork(options: RegionNetworkOptions): RegionNetwork {
  return options.form === 'c4' ? c4(options) : pyramid(options);
}

/** RoIAlign of res4, which res5 and the average make the region's features. */
function c4({ bins = 14, hidden, dim, ...options }: RegionNetworkOptions): RegionNetwork {
  const net = resNet(options);
  const inputs = net.channels[LAST_STAGE];
  const head = mlp('head', [inputs, hidden ?? inputs, dim]);
  return {
    net,
    heads: [head],
    specs: [net, head],
    levels: ['res4'],
    implied: { bins, hidden: hidden ?? inputs },
    forward(layers, images, boxes, deepest = boxes) {
      const { res4 } = stages(
        net,
        layers,
        images,
        (map, stage) => (stage === 'res4' ? aligned(net, map, stage, deepest, bins) : undefined),
        'res4',
      );
      const last = stageOf(net, layers, res4 as Tensor4D, LAST_STAGE);
      const features = globalAverage(last);
      last.dispose();
      return { features, regions: { res4: head.forward(layers, features) } };
    },
  };
}

/** RoIAlign of each level, P2 to P5; the convolutions and linear layers of the head are the same for all. */
function pyramid({ bins = 7, hidden = 1024, fpnChannels = 256, dim, ...options }: RegionNetworkOptions): RegionNetwork {
  const net = resNet(options);
  const neck = fpn(net, fpnChannels);
  const head = convHead('head', { convolutions: 4, channels: fpnChannels, side: bins, widths: [hidden, hidden, dim] });
  const levels = STAGES.map((_, i) => `p${i + 2}`);
  return {
    net,
    heads: [neck, head],
    specs: [net, neck, head],
    levels,
    implied: { bins, hidden, fpnChannels },
    forward(layers, images, boxes, deepest = boxes) {
      const maps = stages(net, layers, images, (map) => tf.clone(map));
      const pyramid = neck.forward(layers, maps);
      const regions = STAGES.map((stage) => aligned(net, pyramid[stage], stage, stage === LAST_STAGE ? deepest : boxes, bins));
      // Image by image, so that a batch norm group has all levels of its images.
      const rows = tf.reshape(tf.stack(regions, 1), [-1, bins, bins, fpnChannels]) as Tensor4D;
      const outputs = tf.unstack(tf.reshape(head.forward(layers, rows), [images.shape[0], levels.length, dim]), 1) as Tensor2D[];
      return {
        features: globalAverage(maps[LAST_STAGE]),
        regions: Object.fromEntries(levels.map((level, i) => [level, outputs[i] as Tensor2D])),
      };
    },
  };
}

function aligned(net: ResNet, map: Tensor4D, stage: Stage, boxes: Tensor2D, bins: number): Tensor4D {
  return roiAlign(map, boxes, { size: bins, stride: strideOf(net, stage), samples: 'adaptive' });
}
