/**
 * Inpainting (context encoders; Pathak et al., CVPR 2016, arXiv 1604.07379), its reconstruction loss without the adversarial one:
 *
 *   x [N,H,W,3], boxes  ->  M [N,H,W,1], 1 where x is hidden
 *   (1 - M) x  ->  backbone, decoder, linear  ->  y [N,H,W,3]
 *
 *   loss = |M (x - y)|^2, a mean over hidden values      (Eq. 1)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { decoder, type Decoder, DOUBLINGS } from '../network/decoder.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { SingleNetworkMethod } from './single-network.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, networkExcess } from './options.js';
import { checkCells, viewOf } from './views.js';

const VIEW = 'masked';
const COLOURS = 3;

const schema = z.strictObject({
  name: z.literal('inpainting'),
  ...backboneOptions,
  /** Channels of the decoder's first doubling; each further one has half as many. */
  hidden: channels.default(512),
  bnGroups: bnGroups.default(1),
});
type InpaintingOptions = Readonly<z.output<typeof schema>>;

export const inpainting = {
  name: 'inpainting',
  schema,
  presets: {
    /** The paper trains an AlexNet: these are the rate, decay and steps of OpenSelfSup's pretexts on ResNet-50. */
    'inpainting-r50': {
      method: {},
      recipe: { name: 'inpainting' },
      batch: 256,
      lr: 0.1,
      epochs: 70,
      warmupEpochs: 5,
      schedule: { kind: 'step', milestones: [30, 50], factor: 0.1 },
    },
    'tiny-inpainting': {
      method: { arch: 'resnet18', width: 16, stem: 'small', hidden: 64 },
      recipe: { name: 'inpainting', globalSize: 32 },
      batch: 32,
      lr: 0.4,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ [VIEW]: 'masked' }),
  check: (options, { batch }) => checkHeadGroups(options, batch),
  checkSides: ({ stem }, sides) => checkCells(VIEW, sides[VIEW] ?? 0, stem),
  excess(options, { bytes }) {
    const parts = Object.values(networkOf(options));
    return networkExcess(options, [...parts, ...parts], bytes);
  },
  create: (engine: Engine, options: InpaintingOptions, seed: number): Method => new Inpainting(engine, options, seed),
} satisfies MethodKind<InpaintingOptions>;

interface Parts {
  readonly net: ResNet;
  readonly decoder: Decoder;
  readonly head: Mlp;
}

function networkOf(options: InpaintingOptions): Parts {
  const net = resNet(options);
  const widths = Array.from({ length: DOUBLINGS[options.stem] }, (_, i) => Math.max(1, Math.round(options.hidden / 2 ** i)));
  return {
    net,
    decoder: decoder('decoder', [net.channels[LAST_STAGE], ...widths]),
    head: mlp('head', [widths.at(-1) as number, COLOURS]),
  };
}

class Inpainting extends SingleNetworkMethod<InpaintingOptions> {
  readonly views = [VIEW];
  readonly terms = [];
  readonly dimensions: number;
  readonly #parts: Parts;

  constructor(engine: Engine, options: InpaintingOptions, seed: number) {
    const parts = networkOf(options);
    const { net, decoder, head } = parts;
    super(engine, options, { resNet: net, heads: [decoder, head], decay: 'all' }, seed);
    this.#parts = parts;
    this.dimensions = net.channels[LAST_STAGE];
  }

  /**
   * The masks of each picture: left, top, right and bottom, [N, masks, 4] float32, pixels.
   * @throws TypeError for pictures without masks, RangeError for pictures with more masks than others
   */
  inputs({ samples }: StepAt): NamedTensors {
    const pictures = samples?.plans[VIEW];
    const boxes = pictures?.map(({ masks = [] }) => masks.map(({ left, top, width, height }) => [left, top, left + width, top + height]));
    const [first] = boxes ?? [];
    if (!boxes || !first?.length)
      throw new TypeError(`The view "${VIEW}" has no masks: expected a recipe with the operation mask, such as recipe.name inpainting`);
    const other = boxes.find(({ length }) => length !== first.length);
    if (other) throw new RangeError(`Pictures with ${first.length} and with ${other.length} masks: expected as many in each`);
    return { boxes: tf.tensor3d(boxes) };
  }

  step(views: StepViews, { boxes }: NamedTensors): StepResult {
    const { ranks } = this.engine;
    const { net, decoder, head } = this.#parts;
    const images = viewOf(views, VIEW, this.options, ranks.size);
    checkCells(VIEW, images.shape[1], this.options.stem);
    const [hidden, seen, count] = tf.tidy(() => {
      const mask = maskOf(boxes as Tensor3D, images.shape);
      return [mask, tf.mul(images, tf.sub(1, mask)), ...ranks.mean([tf.mul(tf.sum(mask), COLOURS)])];
    }) as [Tensor4D, Tensor4D, Scalar];
    const result = differentiate(this.network, (layers) => {
      const { features, map } = lastStage(net, layers, seen, (map) => ({
        features: globalAverage(map),
        map: decoder.forward(layers, map),
      }));
      const pixels = head.forward(layers, tf.reshape(map, [-1, map.shape[3]]));
      const error = tf.mul(hidden, tf.sub(images, tf.reshape(pixels, images.shape)));
      const loss = tf.div(tf.sum(tf.square(error)), count) as Scalar;
      return { loss, terms: {}, featureStd: deviation(l2Normalise(features), ranks), features };
    });
    tf.dispose([hidden, seen, count]);
    return { ...result, carry: {} };
  }
}

/**
 * 1 within any of a picture's boxes.
 *
 * @param boxes [N, masks, 4]
 * @returns [N, H, W, 1]
 */
function maskOf(boxes: Tensor3D, [samples, height, width]: Tensor4D['shape']): Tensor4D {
  const [left, top, right, bottom] = tf.split(tf.expandDims(boxes, 3), 4, 2) as [Tensor4D, Tensor4D, Tensor4D, Tensor4D]; // [N, masks, 1, 1]
  const within = (side: number, from: Tensor, to: Tensor, axis: 2 | 3): Tensor => {
    const places = tf.reshape(tf.range(0, side), axis === 2 ? [1, 1, side, 1] : [1, 1, 1, side]);
    return tf.mul(tf.cast(tf.greaterEqual(places, from), 'float32'), tf.cast(tf.less(places, to), 'float32'));
  };
  const each = tf.mul(within(height, top, bottom, 2), within(width, left, right, 3)); // [N, masks, H, W]
  return tf.reshape(tf.max(each, 1), [samples, height, width, 1]);
}
