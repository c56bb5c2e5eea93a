/**
 * Some updates of one rank, as a process of its own: `node updates.mjs '{"rank": 0, "size": 2, "port": 29500, "name": "moco", ...}'`.
 * Prints what came of them as JSON.
 */
import { selectEngine } from '../../dist/engine/index.js';
import { openCompany } from '../../dist/engine/torch/company.js';
import { loadNative } from '../../dist/engine/torch/native.js';
import { methodKind, methodOptions } from '../../dist/model/index.js';
import { createOptimizer } from '../../dist/train/optimizer/index.js';
import { createTrainStep } from '../../dist/train/step.js';
import { Random } from '../../dist/common/random.js';

const { rank, size, port, name, options, batch, steps, precision = 'fp32', threads = 2 } = JSON.parse(process.argv[2] ?? '');

const SHAPES = {
  image: [16, 16, 3],
  jigsaw: [9, 12, 12, 3],
  multicrop: [2, 16, 16, 3],
  rotations: [4, 16, 16, 3],
  lab: [16, 16, 3],
  masked: [16, 16, 3],
  placed: [16, 16, 3],
};

/** The images of a view, the same on every rank; of those, this rank's. */
function view(random, kind) {
  const one = SHAPES[kind];
  const bytes = one.reduce((product, extent) => product * extent, 1);
  const all = Uint8Array.from({ length: batch * bytes }, () => Math.floor(256 * random.uniform()));
  const share = batch / size;
  return { data: all.subarray(rank * share * bytes, (rank + 1) * share * bytes), shape: [share, ...one] };
}

/** Numbers of this rank's images; some come again two steps later. */
function samples(at) {
  const share = batch / size;
  return Array.from({ length: share }, (_, row) => ({ ordinal: (at * batch + rank * share + row) % (images - 1) }));
}

/**
 * How the pictures of this rank's images were made: masks hide more of some than of others, patches come in orders of their own, crops lie
 * elsewhere, and two views of an image always share something.
 */
function plans() {
  const share = batch / size;
  const pictures = (place) => Array.from({ length: share }, (_, row) => pictureOf(rank * share + row, place));
  return Object.fromEntries(method.views.map((view, place) => [view, pictures(place)]));
}

/** @param place of the view among those of the method */
function pictureOf(image, place) {
  const left = (image + 3 * place) % 7;
  return {
    image: { width: 40, height: 30 },
    box: { left, top: place, width: 20 + left, height: 20 },
    flipped: (image + place) % 2 === 1,
    placed: { canvas: 16, left, top: place, width: 9, height: 8 + (image % 4) },
    masks: [{ left: image % 8, top: 2, width: 3 + (image % 5), height: 1 + (image % 12) }],
    jigsaw: { order: Array.from({ length: 9 }, (_, patch) => (patch + image) % 9) },
  };
}

const company = size > 1 ? await openCompany({ rank, size, localRank: rank, host: '127.0.0.1', port, attempt: '0' }) : undefined;
const engine = await selectEngine('torch', { device: 'cpu', threads, precision, company });
const known = Object.fromEntries(Object.entries(options).filter(([key]) => key in methodKind(name).schema.shape));
const chosen = methodOptions({ ...known, name });
const kinds = methodKind(name).views(chosen);
const images = 2 * batch;
const method = methodKind(name).create(engine, methodKind(name).forImages?.(chosen, images) ?? chosen, 1);
const optimizer = createOptimizer(engine, method.parameters, { name: 'sgd', momentum: 0.9, weightDecay: 1e-4 });
const step = createTrainStep({ engine, method, optimizer });
const random = new Random(5);
const results = [];
const state = () =>
  Object.fromEntries(
    Object.entries({ ...method.sections, optimizer: optimizer.state }).flatMap(([section, variables]) =>
      [...variables].map(([key, variable]) => [`${section}.${key}`, [...variable.dataSync()]]),
    ),
  );
let first;
let before;
for (let at = 0; at < steps; at++) {
  const views = Object.fromEntries(method.views.map((one) => [one, view(random, kinds[one])]));
  const staged = await step.stage({ views, samples: samples(at), plans: plans(), release: () => {} });
  before = loadNative().rankTraffic();
  results.push(await step.run(staged, { step: at, progress: at / steps, epoch: at, learningRate: 0.002 }));
  first ??= state();
}
const after = loadNative().rankTraffic();
const traffic = { calls: after.calls - before.calls, bytes: after.bytes - before.bytes };
const count = (variables, ofThese = () => true) =>
  [...variables].filter(([key]) => ofThese(key)).reduce((total, [, { size }]) => total + size, 0);
const sizes = {
  trained: count(method.parameters.flatMap(({ variables }) => [...variables])),
  // Of one network: means and variances.
  statistics: count(Object.values(method.sections)[0], (key) => key.includes('running_')),
};
const end = { results, first, last: state(), host: method.host, traffic, sizes };
method.dispose();
optimizer.dispose();
await engine.dispose();
await company?.[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify(end));
