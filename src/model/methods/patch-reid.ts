/**
 * Patch re-identification (DUPR; Ding et al., TPAMI 2022, arXiv 2103.04814, "Deeply Unsupervised Patch Re-Identification for Pre-training
 * Object Detectors"): MoCo at several stages of the backbone, and the same for the patches of what two views of an image both show.
 *
 *   globalQ -> query backbone -> map of a level -> average, head              -> v_q [N, dim]
 *                                               -> RoIAlign of the overlap, head -> r_q [N, S^2, dim]
 *   globalK -> key backbone   -> likewise v_k -> queue image.level,  r_k, one of each S^2 -> queue patch.level
 *
 *   L = sum over levels i of w_i (L_image + L_patch), MoCo's (Eq. 1) of v and of r; the positive of a patch is the same patch of the key's view
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { roiAlign } from '../../engine/operations/roi-align.js';
import type { Method, MethodKind, StepAt, StepResult, StepViews } from '../method.js';
import { reaches, type ResNet, resNet, type Stage, STAGES, strideOf } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, stages } from '../network/resnet.js';
import type { Encoded } from '../network/shuffle-bn.js';
import {
  backboneOptions,
  channels,
  checkHead,
  checkQueue,
  count,
  fitBnGroups,
  headOption,
  levelWeights,
  networkExcess,
  queueConcern,
  queueExcess,
  queueOptions,
} from './options.js';
import { stepOverlaps } from './patch-overlap.js';
import { QueueMethod } from './queue-method.js';

const VIEWS = { globalQ: 'image', globalK: 'image' } as const;
/** What is permuted. */
const KEYS = 'global';
/** What is told apart: whole images, and their patches. */
const KINDS = ['image', 'patch'] as const;
/** Of a bin of RoIAlign, on each side. */
const SAMPLES = 2;

const schema = z.strictObject({
  name: z.literal('patch-reid'),
  ...backboneOptions,
  /** The stages that have losses, with the weight w_i of each. */
  levels: levelWeights,
  /** Patches on each side of the overlap, S. */
  patches: count.max(16).default(7),
  head: headOption,
  /** Hidden width of every MLP head; by default the channels of its stage. */
  hidden: channels.optional(),
  ...queueOptions,
});
type PatchReIdOptions = Readonly<z.output<typeof schema>>;

export const patchReId = {
  name: 'patch-reid',
  schema,
  presets: {
    /** MoCo v2's, which the paper starts from. */
    'patch-reid-r50': { method: {}, recipe: { name: 'mocoV2' }, batch: 256, lr: 0.03, epochs: 200, schedule: { kind: 'cosine' } },
    'tiny-patch-reid': {
      method: { arch: 'resnet18', width: 16, patches: 3, dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 },
      recipe: { name: 'mocoV2', globalSize: 48 },
      batch: 32,
      lr: 0.12,
      epochs: 20,
      warmupSteps: 40,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => VIEWS,
  fit: fitBnGroups,
  check(options, run) {
    checkHead(options, run);
    checkQueue(options, run);
  },
  excess(options, run) {
    const net = resNet(options);
    const network = [net, ...headsOf(options, net).values()];
    return queueExcess(options, queueNames(options).length, run) ?? networkExcess(options, [...network, ...network, ...network], run.bytes);
  },
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: PatchReIdOptions, seed: number): Method => new PatchReId(engine, options, seed),
} satisfies MethodKind<PatchReIdOptions>;

/** The levels in stage order, shallow to deep. */
function levelsOf({ levels }: Pick<PatchReIdOptions, 'levels'>): Stage[] {
  return STAGES.filter((stage) => levels[stage] !== undefined);
}

/** One queue and one head for each kind and level, by `patch.res5`. */
function queueNames(options: PatchReIdOptions): string[] {
  return levelsOf(options).flatMap((level) => KINDS.map((kind) => `${kind}.${level}`));
}

function headsOf(options: PatchReIdOptions, { channels: widths }: ResNet): Map<string, Mlp> {
  const heads = levelsOf(options).flatMap((level) =>
    KINDS.map((kind): [string, Mlp] => {
      const hidden = options.head === 'linear' ? [] : [options.hidden ?? widths[level]];
      return [`${kind}.${level}`, mlp(`head.${kind}.${level}`, [widths[level], ...hidden, options.dim])];
    }),
  );
  return new Map(heads);
}

class PatchReId extends QueueMethod<PatchReIdOptions> {
  readonly views = Object.keys(VIEWS);
  readonly terms: readonly string[];
  override readonly featureStage: Stage;
  readonly #levels: readonly Stage[];
  readonly #resNet: ResNet;
  /** By kind and level. */
  readonly #heads: ReadonlyMap<string, Mlp>;

  constructor(engine: Engine, options: PatchReIdOptions, seed: number) {
    const net = resNet(options);
    const heads = headsOf(options, net);
    const names = queueNames(options);
    const levels = levelsOf(options);
    const deepest = levels.at(-1) as Stage;
    const trains = (name: string): boolean => name.startsWith('head.') || reaches(deepest, name);
    super(engine, options, { resNet: net, heads: [...heads.values()], queues: names, keyViews: { [KEYS]: 'globalK' }, trains }, seed);
    this.#resNet = net;
    this.#heads = heads;
    this.#levels = levels;
    this.featureStage = deepest;
    this.terms = names;
  }

  /**
   * Besides: where the views overlap, and of all keys of patches, [N S^2], those that the queues take: of each image another in each step, in
   * turn, so that queues hold as many images as MoCo's.
   */
  override inputs(at: StepAt): NamedTensors {
    const each = this.options.patches ** 2;
    const queued = Int32Array.from({ length: at.batch }, (_, image) => image * each + ((at.step + image) % each));
    return { ...super.inputs(at), ...stepOverlaps(at, ['globalQ', 'globalK']), queued: tf.tensor1d(queued, 'int32') };
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const { levels, temperature } = this.options;
    const { overlapQ, sources, queued } = inputs as Record<string, Tensor2D> & { readonly sources: Tensor1D; readonly queued: Tensor1D };
    this.follow();
    const encoded = this.#keys(views, inputs);
    const { own: keys } = encoded;
    const images = this.view(views, 'globalQ');
    const forward = (layers: Layers) => {
      const { features, embeddings } = this.#embed(layers, images, overlapQ as Tensor2D);
      const terms: Record<string, Scalar> = {};
      let loss: Scalar = tf.scalar(0);
      for (const level of this.#levels) {
        for (const kind of KINDS) {
          const name = `${kind}.${level}`;
          const [q, k] = [embeddings, keys].map((rows) => (kind === 'image' ? rows[name] : this.#patches(rows[name] as Tensor2D, sources)));
          const nce = this.engine.infoNce(q as Tensor2D, k as Tensor2D, this.queue(name), temperature);
          terms[name] = nce;
          loss = tf.add(loss, tf.mul(nce, levels[level] as number));
        }
      }
      const deepest = embeddings[`image.${this.featureStage}`] as Tensor2D;
      return { loss, terms, featureStd: deviation(deepest, this.engine.ranks), features };
    };
    const result = differentiate(this.query, forward, this.trained);
    const all = this.kept(encoded);
    const carry = Object.entries(all).map(([name, rows]) => {
      if (name.startsWith('image.')) return [name, rows] as const;
      const taken = tf.tidy(() => tf.gather(tf.reshape(rows, [-1, this.options.dim]), queued));
      rows.dispose();
      return [name, taken] as const;
    });
    return { ...result, carry: Object.fromEntries(carry) };
  }

  /** Patches of these images, [n, S^2 dim] -> [n S^2, dim]. */
  #patches(rows: Tensor2D, sources: Tensor1D): Tensor2D {
    return tf.reshape(tf.gather(rows, sources), [-1, this.options.dim]);
  }

  /** In ShuffleBN's order; where views overlap goes with the images. */
  #keys(views: StepViews, inputs: NamedTensors): Encoded<Record<string, Tensor2D>> {
    const { overlapK, [`${KEYS}Order`]: order } = inputs;
    return this.keys(this.view(views, 'globalK'), inputs, KEYS, (layers, images) => {
      const overlaps = tf.gather(this.engine.ranks.gather(overlapK as Tensor2D), order as Tensor1D);
      return this.#embed(layers, images, overlaps).embeddings;
    });
  }

  /**
   * Features of the deepest level, and of unit norm what the heads make of images [N, dim] and of the patches of each side by side, [N, S^2 dim].
   *
   * @param overlaps [N, 4], shares of the images' sides
   */
  #embed(layers: Layers, images: Tensor4D, overlaps: Tensor2D): { features: Tensor2D; embeddings: Record<string, Tensor2D> } {
    const { patches: size, dim } = this.options;
    const boxes = tf.mul<Tensor2D>(overlaps, images.shape[1]);
    const read = (map: Tensor4D, level: Stage): Partial<Record<(typeof KINDS)[number], Tensor2D>> => {
      const image = globalAverage(map);
      if (!this.#levels.includes(level)) return { image };
      const bins = roiAlign(map, boxes, { size, stride: strideOf(this.#resNet, level), samples: SAMPLES });
      return { image, patch: tf.reshape(bins, [-1, map.shape[3]]) };
    };
    const pooled = stages(this.#resNet, layers, images, read, this.featureStage);
    const embeddings: Record<string, Tensor2D> = {};
    for (const level of this.#levels) {
      for (const kind of KINDS) {
        const name = `${kind}.${level}`;
        const rows = l2Normalise((this.#heads.get(name) as Mlp).forward(layers, pooled[level][kind] as Tensor2D));
        embeddings[name] = kind === 'image' ? rows : tf.reshape(rows, [-1, size ** 2 * dim]);
      }
    }
    return { features: pooled[this.featureStage].image as Tensor2D, embeddings };
  }
}
