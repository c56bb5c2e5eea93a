/** Updates by several ranks are those of one process with the same images and as many batch norm groups. */
import { expect, test } from '@jest/globals';
import { whereRanks } from './available.js';
import { runRanks } from './run-ranks.js';

interface Updates {
  readonly results: readonly { readonly loss: number; readonly terms: Record<string, number>; readonly featureStd: number }[];
  /** Tensors after the first update, and after the last. */
  readonly first: Readonly<Record<string, readonly number[]>>;
  readonly last: Readonly<Record<string, readonly number[]>>;
  readonly host: object;
  /** Of the last update. */
  readonly traffic: { readonly calls: number; readonly bytes: number };
  /** Numbers in trained tensors, and in the running statistics of one network. */
  readonly sizes: { readonly trained: number; readonly statistics: number };
}

const SMALL = {
  arch: 'resnet18',
  width: 4,
  stem: 'small',
  dim: 8,
  hidden: 16,
  keyMomentum: 0.9,
  queueSize: 32,
  prototypes: 12,
  epsilon: 0.5,
  queueEpoch: 2,
  negatives: 24,
  permutations: 40,
  bins: 4,
  patches: 2,
};
const STEPS = 5;
const BATCH = 16;

const where = await whereRanks();

const run = (size: number, task: object) => runRanks<Updates>('test/ranks/updates.mjs', size, { batch: BATCH, steps: STEPS, ...task });

/** Numbers below it are not compared by their ratio: a bias before a batch norm has the gradient 0, and rounding leaves 1e-8 of it. */
const LEAST = 1e-3;

/** How far two tensors are from each other, as a share of the largest number of either. */
function furthest(a: readonly number[] = [], b: readonly number[] = []): number {
  const largest = [...a, ...b].reduce((most, x) => Math.max(most, Math.abs(x)), LEAST);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] ?? Number.NaN))), 0) / largest;
}

/** What an update of a method sends, by docs/distributed.md: bytes of key views of one image, queues, and forward passes by kind. */
const SENT = {
  moco: { views: 16 * 16 * 3, queues: 1, queries: 1, keys: 1, terms: 0 },
  detco: { views: 16 * 16 * 3 + 9 * 12 * 12 * 3, queues: 8, queries: 2, keys: 2, terms: 12 },
};

where.describe(`several ranks${where.note}`, () => {
  test.each(Object.entries(SENT))(
    'an update of %s sends the calls and bytes of the model',
    async (name, { views, queues, queries, keys, terms }) => {
      const task = { name, options: { ...SMALL, bnGroups: 2 } };
      for (const { traffic, sizes } of await run(2, task)) {
        const images = BATCH / 2;
        const floats = sizes.trained + (queries + keys) * sizes.statistics + images * SMALL.dim * (queues + queries) + 2 + terms;
        // Gradients and the report; of each kind of query its spread and statistics; of each of key its views, keys and statistics.
        expect(traffic).toEqual({ calls: 2 + 2 * queries + 3 * keys, bytes: 4 * floats + images * views });
      }
    },
    240_000,
  );

  // One group is of all ranks.
  test.each([
    ['moco', 2, 2],
    ['detco', 2, 2],
    ['densecl', 2, 2],
    ['detco', 4, 4],
    ['moco', 2, 1],
    ['simclr', 2, 1],
    ['simclr', 2, 2],
    ['byol', 2, 2],
    ['byol', 2, 1],
    ['swav', 2, 1],
    ['instdis', 2, 1],
    ['instdis', 2, 2],
    ['colorization', 2, 1],
    ['inpainting', 2, 1],
    ['pirl', 2, 1],
    ['rotation', 2, 1],
    ['relative-position', 2, 2],
    ['jigsaw', 2, 2],
    ['insloc', 2, 2],
    ['patch-reid', 2, 2],
  ])(
    '%s on %i ranks: losses, queues and every tensor of one process with %i batch norm groups',
    async (name, ranks, bnGroups) => {
      const task = { name, options: { ...SMALL, bnGroups } };
      const [alone] = await run(1, task);
      const together = await run(ranks, task);
      for (const one of together) expect(one).toEqual(together[0]);
      const [same] = together;
      expect(same?.host).toEqual(alone?.host);
      for (const [at, { loss, terms }] of alone?.results.entries() ?? []) {
        const other = same?.results[at];
        const tolerance = at === 0 ? 1e-5 : 2e-3;
        expect(Math.abs((other?.loss ?? NaN) / loss - 1)).toBeLessThan(tolerance);
        for (const [term, value] of Object.entries(terms))
          // An accuracy may be 0.
          expect(Math.abs((other?.terms[term] ?? NaN) - value)).toBeLessThan(tolerance * (Math.abs(value) || 1));
      }
      for (const [tensor, values] of Object.entries(alone?.first ?? {}))
        expect([tensor, furthest(values, same?.first[tensor])]).toEqual([tensor, expect.closeTo(0, 3)]);
    },
    240_000,
  );
});
