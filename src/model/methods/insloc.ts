/**
 * InsLoc (Yang et al., CVPR 2021, arXiv 2102.08318, "Instance Localization for Self-supervised Detection Pretraining"): MoCo v2 of regions.
 * Two crops of an image are pasted onto two other images; a region's features are those of its box.
 *
 *   foregroundQ on backgroundQ  ->  query encoder  ->  RoIAlign of the box  ->  head  ->  q [N, dim]
 *   foregroundK on backgroundK  ->  key encoder    ->  RoIAlign of the box  ->  head  ->  k [N, dim]  ->  queue [K, dim]
 *
 *   form c4    RoIAlign of res4, res5 as part of the head, average, MLP: one loss
 *   form fpn   RoIAlign of each level of a feature pyramid, one head for all: a loss and a queue for each, L = their sum
 *
 * Each loss is MoCo's (Eq. 1 of both). The query's box may be off: `boxJitter`.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { oneOf } from '../../common/one-of.js';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepAt, StepResult, StepViews } from '../method.js';
import { differentiate } from '../network/differentiate.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { pasted, stepBackgrounds } from '../network/paste.js';
import { regionNetwork, type RegionNetwork } from '../network/regions.js';
import type { Encoded } from '../network/shuffle-bn.js';
import {
  backboneOptions,
  channels,
  checkQueue,
  count,
  fitBnGroups,
  networkExcess,
  queueConcern,
  queueExcess,
  queueOptions,
} from './options.js';
import { stepBoxes } from './insloc-boxes.js';
import { QueueMethod } from './queue-method.js';

const VIEWS = { foregroundQ: 'placed', foregroundK: 'placed', backgroundQ: 'image', backgroundK: 'image' } as const;
/** What is permuted. */
const KEYS = 'region';

const schema = z.strictObject({
  name: z.literal('insloc'),
  ...backboneOptions,
  /** The detector that is trained for: `c4` reads regions of res4, `fpn` of a feature pyramid. */
  form: oneOf(['c4', 'fpn']).default('c4'),
  /** RoIAlign's bins on each side; by default 14 with `c4`, which res5 halves, and 7 with `fpn`. */
  bins: count.max(64).optional(),
  /** Hidden width of the head's linear layers; by default the channels of the backbone with `c4`, and 1024 with `fpn`. */
  hidden: channels.optional(),
  /** Of the feature pyramid and its head's convolutions; by default 256. */
  fpnChannels: channels.optional(),
  /** Whether the query's region is an anchor that overlaps the box by half, in its place; with `fpn` on P5 alone. */
  boxJitter: z.boolean('expected true or false').default(true),
  ...queueOptions,
});
type InsLocOptions = Readonly<z.output<typeof schema>>;

/** The authors' configs/FPN/insloc_fpn_200ep.py, without Nesterov's momentum. */
const SOURCE = {
  recipe: { name: 'insloc', globalSize: 256 },
  batch: 256,
  lr: 0.03,
  epochs: 200,
  schedule: { kind: 'cosine' },
} as const;

export const insloc = {
  name: 'insloc',
  schema,
  presets: {
    'insloc-c4-r50': { ...SOURCE, method: {} },
    'insloc-fpn-r50': { ...SOURCE, method: { form: 'fpn' } },
    'tiny-insloc': {
      method: { arch: 'resnet18', width: 16, bins: 4, dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 },
      recipe: { name: 'insloc', globalSize: 64 },
      batch: 32,
      lr: 0.06,
      epochs: 20,
      warmupSteps: 40,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => VIEWS,
  implied: (options) => regionNetwork(options).implied,
  fit: fitBnGroups,
  check(options, run) {
    if (run.batch < 2) throw new RangeError(`batch ${run.batch}: InsLoc pastes each image onto another of the batch; expected 2 or more`);
    if (!run.resumed && options.form === 'c4' && options.fpnChannels !== undefined) {
      throw new RangeError(
        `method.fpnChannels ${options.fpnChannels} with method.form c4, which has no feature pyramid: leave it out, or use method.form fpn`,
      );
    }
    checkQueue(options, run);
  },
  excess(options, run) {
    const { specs, levels } = regionNetwork(options);
    return queueExcess(options, levels.length, run) ?? networkExcess(options, [...specs, ...specs, ...specs], run.bytes);
  },
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: InsLocOptions, seed: number): Method => new InsLoc(engine, options, seed),
} satisfies MethodKind<InsLocOptions>;

class InsLoc extends QueueMethod<InsLocOptions> {
  readonly views = Object.keys(VIEWS);
  readonly terms: readonly string[];
  readonly #network: RegionNetwork;
  readonly #seed: number;

  constructor(engine: Engine, options: InsLocOptions, seed: number) {
    const network = regionNetwork(options);
    const { net, heads, levels } = network;
    const exchanged = ['backgroundQ', 'backgroundK'];
    super(engine, options, { resNet: net, heads, queues: levels, keyViews: { [KEYS]: 'foregroundK' }, exchanged }, seed);
    this.#network = network;
    this.#seed = seed;
    this.terms = levels.length > 1 ? levels : [];
  }

  /** Besides: where each crop lies, [n, 4], and whose image it is pasted onto, called as permutations are. */
  override inputs(at: StepAt): NamedTensors {
    const { ranks } = this.engine;
    return {
      ...super.inputs(at),
      ...stepBoxes(this.#seed, at, ranks, this.options.boxJitter),
      backgroundQOrder: stepBackgrounds(this.#seed, 'query', at, ranks),
      backgroundKOrder: stepBackgrounds(this.#seed, 'key', at, ranks),
    };
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const { temperature } = this.options;
    const { levels } = this.#network;
    const { boxesQ, regionsQ, backgroundQOrder } = inputs as Record<string, Tensor2D> & { readonly backgroundQOrder: Tensor1D };
    this.follow();
    const encoded = this.#keys(views, inputs);
    const { own: keys } = encoded;
    const images = this.#composed(this.view(views, 'foregroundQ'), this.view(views, 'backgroundQ'), boxesQ as Tensor2D, backgroundQOrder);
    const result = differentiate(this.query, (layers) => {
      const { features, regions } = this.#network.forward(layers, images, boxesQ as Tensor2D, regionsQ as Tensor2D);
      const queries = this.#embeddings(regions);
      const losses = levels.map((level) =>
        this.engine.infoNce(queries[level] as Tensor2D, keys[level] as Tensor2D, this.queue(level), temperature),
      );
      const loss = losses.reduce((sum, one) => tf.add(sum, one));
      const terms = Object.fromEntries(this.terms.map((level, i) => [level, losses[i] as Scalar]));
      return { loss, terms, featureStd: deviation(queries[levels.at(-1) ?? ''] as Tensor2D, this.engine.ranks), features };
    });
    images.dispose();
    return { ...result, carry: this.kept(encoded) };
  }

  /** Keys of each level, in ShuffleBN's order; boxes and backgrounds go with their images. */
  #keys(views: StepViews, inputs: NamedTensors): Encoded<Record<string, Tensor2D>> {
    const { boxesK, backgroundKOrder, [`${KEYS}Order`]: order } = inputs;
    const backgrounds = this.view(views, 'backgroundK');
    return this.keys(this.view(views, 'foregroundK'), inputs, KEYS, (layers, foregrounds) => {
      // Places are whole numbers that float32 holds: with the boxes they are one tensor to gather.
      const own = tf.concat([boxesK as Tensor2D, tf.expandDims(tf.cast(backgroundKOrder as Tensor1D, 'float32'), 1)], 1);
      const [boxes, places] = tf.split(tf.gather(this.engine.ranks.gather(own), order as Tensor1D), [4, 1], 1) as [Tensor2D, Tensor2D];
      const images = this.#composed(foregrounds, backgrounds, boxes, tf.cast(tf.squeeze(places, [1]), 'int32'));
      return this.#embeddings(this.#network.forward(layers, images, boxes).regions);
    });
  }

  /** @param places of the background of each foreground, in what the ranks have together */
  #composed(foregrounds: Tensor4D, backgrounds: Tensor4D, boxes: Tensor2D, places: Tensor1D): Tensor4D {
    return tf.tidy(() => pasted(foregrounds, this.engine.ranks.exchange(backgrounds, places) as Tensor4D, boxes));
  }

  #embeddings(regions: Readonly<Record<string, Tensor2D>>): Record<string, Tensor2D> {
    return Object.fromEntries(Object.entries(regions).map(([level, rows]) => [level, l2Normalise(rows)]));
  }
}
