/**
 * DetCo (Xie et al., ICCV 2021, arXiv 2102.04803).
 *
 *   L = sum over levels i of w_i (L_gg + L_ll + L_gl)                                         (Eq. 1)
 *
 *   views of an image          query encoder        key encoder (momentum, no gradient)
 *   globalQ [N,H,W,3]   ->     q^g  a level
 *   globalK                                         k^g  a level   -> queue global.level
 *   patchesQ [N,9,h,w,3] ->    q^l  a level
 *   patchesK                                        k^l  a level   -> queue local.level
 *
 * A step: `key <- m key + (1 - m) query`, encode the keys, encode the queries and differentiate; the optimiser follows, and then the keys
 * take the place of the oldest in the queues.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { oneOf } from '../../common/one-of.js';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepResult, StepViews, ViewKind } from '../method.js';
import { reaches, type ResNet, resNet, type Stage, STAGES } from '../network/architecture.js';
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
  fitBnGroups,
  headOption,
  levelWeights,
  networkExcess,
  queueConcern,
  queueExcess,
  queueOptions,
} from './options.js';
import { QueueMethod } from './queue-method.js';

/** Who meets whom in each term: the query's view, and the view of both the key and the queue it is held against. */
const TERMS = {
  gg: { query: 'global', key: 'global' }, // Eq. 2
  ll: { query: 'local', key: 'local' }, // Eq. 5
  gl: { query: 'local', key: 'global' }, // Eq. 4
} as const;
type Term = keyof typeof TERMS;
const TERM_NAMES = Object.keys(TERMS) as [Term, ...Term[]];

/** Whole images, and the nine patches of one (a 3x3 jigsaw). */
const KINDS = ['global', 'local'] as const;
type Kind = (typeof KINDS)[number];
const VIEWS = {
  global: { query: 'globalQ', key: 'globalK', kind: 'image' },
  local: { query: 'patchesQ', key: 'patchesK', kind: 'jigsaw' },
} as const;
const PATCHES = 9;

const schema = z.strictObject({
  name: z.literal('detco'),
  ...backboneOptions,
  /** The stages that have losses, with the weight w_i of each (Eq. 1). */
  levels: levelWeights,
  terms: z
    .array(oneOf(TERM_NAMES))
    .min(1)
    .refine((terms) => new Set(terms).size === terms.length, 'expected each term once')
    .readonly()
    .default(TERM_NAMES),
  head: headOption,
  /** Hidden width of every MLP head; by default the channels of its stage. */
  hidden: channels.optional(),
  ...queueOptions,
});
export type DetCoOptions = Readonly<z.output<typeof schema>>;

export const detco = {
  name: 'detco',
  schema,
  presets: {
    /** The paper's, section 3.4. */
    'detco-r50': { method: {}, recipe: { name: 'detco' }, batch: 256, lr: 0.03, epochs: 200, schedule: { kind: 'cosine' } },
    // A first run: minutes on two cores with a thousand or two small images. A short queue and a quick key encoder suit small data sets;
    // the rate warms up because random rows fill the queue at first. RandAugment is off: with it the loss falls half as far in these steps.
    tiny: {
      method: { arch: 'resnet18', width: 16, dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 },
      recipe: { name: 'detco', globalSize: 48, patchSize: 24, randAugment: false },
      batch: 32,
      lr: 0.24,
      epochs: 20,
      warmupSteps: 40,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: viewsOf,
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
  create: (engine: Engine, options: DetCoOptions, seed: number): Method => new DetCo(engine, options, seed),
} satisfies MethodKind<DetCoOptions>;

export class DetCo extends QueueMethod<DetCoOptions> {
  readonly views: readonly string[];
  readonly terms: readonly string[];
  override readonly featureStage: Stage;
  readonly #levels: readonly Stage[];
  readonly #resNet: ResNet;
  /** By kind and level. */
  readonly #heads: ReadonlyMap<string, Mlp>;

  constructor(engine: Engine, options: DetCoOptions, seed: number) {
    const net = resNet(options);
    const heads = headsOf(options, net);
    const queries = kindsOf(options, 'query');
    super(
      engine,
      options,
      {
        resNet: net,
        heads: [...heads.values()],
        queues: queueNames(options),
        keyViews: Object.fromEntries(kindsOf(options, 'key').map((kind) => [kind, VIEWS[kind].key])),
        trains: (name) => queries.some((kind) => trains(options, kind, name)),
      },
      seed,
    );
    this.#resNet = net;
    this.#heads = heads;
    this.#levels = levelsOf(options);
    this.featureStage = this.#levels.at(-1) as Stage;
    this.views = Object.keys(viewsOf(options));
    this.terms = queries.flatMap((kind) => this.#levels.flatMap((level) => termsOf(options, kind).map((term) => `${term}.${level}`)));
  }

  /** The queues are those of before the step. */
  step(views: StepViews, inputs: NamedTensors): StepResult {
    this.follow();
    const keys = this.#encodeKeys(views, inputs);
    // Global and patch forwards share nothing but parameters, so each is differentiated on its own: the tape holds one of them at a time.
    const branches = kindsOf(this.options, 'query').map((kind) => this.#differentiate(kind, views, keys.own));
    const [{ featureStd, features }, ...others] = branches as [(typeof branches)[0], ...typeof branches];
    tf.dispose(others.flatMap((other) => [other.featureStd, other.features]));
    const gradient = (name: string): Tensor => total(branches.flatMap(({ gradients }) => gradients[name] ?? []));
    return {
      loss: total(branches.map(({ loss }) => loss)),
      terms: Object.assign({}, ...branches.map(({ terms }) => terms)) as Record<string, Scalar>,
      gradients: Object.fromEntries([...this.trained.keys()].map((name) => [name, gradient(name)])),
      featureStd,
      features,
      carry: this.kept(keys),
    };
  }

  /** k^g and k^l of every level, [n, dim] by queue, without gradient. */
  #encodeKeys(views: StepViews, inputs: NamedTensors): Encoded<Record<string, Tensor2D>> {
    const encoded = kindsOf(this.options, 'key').map((kind) =>
      this.keys(this.#view(views, kind, 'key'), inputs, kind, (layers, shuffled) =>
        named(kind, this.#embed(layers, kind, shuffled).embeddings),
      ),
    );
    const all = Object.assign({}, ...encoded.map((keys) => keys.all)) as Record<string, Tensor2D>;
    const shared = encoded.every((keys) => keys.own === keys.all);
    return { own: shared ? all : (Object.assign({}, ...encoded.map(({ own }) => own)) as typeof all), all };
  }

  /** The terms whose query is of this kind: gg for global, ll and gl for local. */
  #differentiate(kind: Kind, views: StepViews, keys: Readonly<Record<string, Tensor2D>>): ReturnType<typeof differentiate> {
    const { levels, temperature } = this.options;
    const images = this.#view(views, kind, 'query');
    const forward = (layers: Layers) => {
      const { features, embeddings: q } = this.#embed(layers, kind, images);
      const terms: Record<string, Scalar> = {};
      let loss: Scalar = tf.scalar(0);
      for (const level of this.#levels) {
        for (const term of termsOf(this.options, kind)) {
          const bank = `${TERMS[term].key}.${level}`;
          const nce = this.engine.infoNce(q[level] as Tensor2D, keys[bank] as Tensor2D, this.queue(bank), temperature);
          terms[`${term}.${level}`] = nce;
          loss = tf.add(loss, tf.mul(nce, levels[level] as number));
        }
      }
      return {
        loss,
        terms,
        featureStd: deviation(Object.values(q).at(-1) as Tensor2D, this.engine.ranks),
        features: perImage(kind, features),
      };
    };
    const reached = [...this.trained].filter(([name]) => trains(this.options, kind, name));
    return differentiate(this.query, forward, new Map(reached));
  }

  /**
   * Train-mode forward to the features of the deepest level and one unit-norm embedding [N, dim] a level. The patches of an image go through the backbone one by one, and to a
   * head side by side, in the order they come (section 3.3).
   */
  #embed(layers: Layers, kind: Kind, images: Tensor): { features: Tensor2D; embeddings: Record<string, Tensor2D> } {
    const flat = tf.reshape(images, [-1, ...images.shape.slice(-3)] as [number, number, number, number]);
    const pooled = stages(this.#resNet, layers, flat as Tensor4D, globalAverage, this.featureStage);
    const embedded = this.#levels.map((level) => {
      const { forward } = this.#heads.get(`${kind}.${level}`) as Mlp;
      const features = pooled[level];
      const sideBySide = kind === 'local' ? tf.reshape(features, [-1, PATCHES * features.shape[1]] as [number, number]) : features;
      return [level, l2Normalise(forward(layers, sideBySide as Tensor2D))] as const;
    });
    return { features: pooled[this.featureStage], embeddings: Object.fromEntries(embedded) };
  }

  /** The images of one view, checked. */
  #view(views: StepViews, kind: Kind, side: 'query' | 'key'): Tensor {
    const name = VIEWS[kind][side];
    const images = this.view<Tensor>(views, name);
    if (kind === 'local' && images.shape[1] !== PATCHES)
      throw new RangeError(`The view "${name}" is [${images.shape.join(', ')}]; expected [N, ${PATCHES}, h, w, 3]`);
    return images;
  }
}

/** Embeddings by the names of their queues. */
function named(kind: Kind, embeddings: Readonly<Record<string, Tensor2D>>): Record<string, Tensor2D> {
  return Object.fromEntries(Object.entries(embeddings).map(([level, k]) => [`${kind}.${level}`, k]));
}

/** Features of whole images as they are, those of patches [9N, C] as the mean over each image's. */
function perImage(kind: Kind, features: Tensor2D): Tensor2D {
  return kind === 'global' ? features : tf.mean(tf.reshape(features, [-1, PATCHES, features.shape[1]]), 1);
}

/** Whether the loss of queries of this kind reaches a parameter: not past the deepest level, nor the other kind's heads. */
function trains(options: DetCoOptions, kind: Kind, name: string): boolean {
  return name.startsWith('head.') ? name.startsWith(`head.${kind}.`) : reaches(levelsOf(options).at(-1) as Stage, name);
}

/** The levels in stage order, shallow to deep. */
function levelsOf({ levels }: DetCoOptions): Stage[] {
  return STAGES.filter((stage) => levels[stage] !== undefined);
}

/** The kinds of view that the options' terms have on one of their sides. */
function kindsOf({ terms }: DetCoOptions, side: 'query' | 'key'): Kind[] {
  return KINDS.filter((kind) => terms.some((term) => TERMS[term][side] === kind));
}

function viewsOf(options: DetCoOptions): Record<string, ViewKind> {
  const named = (side: 'query' | 'key') => kindsOf(options, side).map((kind) => [VIEWS[kind][side], VIEWS[kind].kind] as const);
  return Object.fromEntries([...named('query'), ...named('key')]);
}

function termsOf({ terms }: DetCoOptions, query: Kind): Term[] {
  return terms.filter((term) => TERMS[term].query === query);
}

/** One queue for each kind of key and level (section 3.2: "individual memory bank for each layer"). */
function queueNames(options: DetCoOptions): string[] {
  return kindsOf(options, 'key').flatMap((kind) => levelsOf(options).map((level) => `${kind}.${level}`));
}

/** One head for each kind of view and level, by `global.res5`; none shares weights with another. */
function headsOf(options: DetCoOptions, { channels: widths }: ResNet): Map<string, Mlp> {
  const kinds = KINDS.filter((kind) => options.terms.some((term) => Object.values(TERMS[term]).includes(kind)));
  const heads = kinds.flatMap((kind) =>
    levelsOf(options).map((level): [string, Mlp] => {
      const inputs = kind === 'local' ? PATCHES * widths[level] : widths[level];
      const hidden = options.head === 'linear' ? [] : [options.hidden ?? widths[level]];
      return [`${kind}.${level}`, mlp(`head.${kind}.${level}`, [inputs, ...hidden, options.dim])];
    }),
  );
  return new Map(heads);
}

/** The sum of one or two tensors, which are freed. */
function total<T extends Tensor>(parts: readonly T[]): T {
  const [first, second] = parts as readonly [T, T?];
  if (!second) return first;
  const sum = tf.add<T>(first, second);
  tf.dispose([first, second]);
  return sum;
}
