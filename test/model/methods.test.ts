/**
 * What holds for every method of the registry, with the preset that begins with `tiny`: a run falls in loss without collapsing, one whose
 * process is killed goes on as if it had not been, and one that is continued from a checkpoint is, on each engine, the one that did not stop
 * there. A method is tested by its line there.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ENGINE_NAMES, type EngineName, selectEngine } from '#dist/engine/index.js';
import { METHOD_NAMES, METHOD_PRESETS, methodKind, type MethodInput, methodOptions } from '#dist/model/index.js';
import { readConfigFile, train } from '#dist/train/index.js';
import { detco } from '../cli/detco.js';
import { whereAvailable } from '../engine/available.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { clocklessLines } from '../support/metrics.js';
import { known, SMALL_FORMS, type SmallForm, smallRecipe, TINY_PRESETS } from '../support/small-method.js';

jest.setTimeout(300_000);

const SHARDS = 'fixtures/shards/train-{000..003}.tar';
/** InsLoc takes more for OpenBLAS's kernels of either kind of CPU: after 60 those of AVX2 have its loss at 0.984 of its highest, those of AVX-512 at 0.975. */
const stepsOf = (method: string): number => (method === 'insloc' ? 90 : 60);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-methods-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const where = {
  wasm: await whereAvailable('wasm'),
  torch: await whereAvailable('torch'),
  tensorflow: await whereAvailable('tensorflow'),
};

/** Two engines' losses differ by far less than they fall. */
const fastest: EngineName = where.torch.note === '' ? 'torch' : 'wasm';

interface Line {
  readonly loss: number;
  readonly featureStd: number;
}

/** Updates without what a clock put there. */
const updates = (run: string) => clocklessLines<Line>(run);

describe.each(TINY_PRESETS)('method $method', ({ method, preset }) => {
  const steps = stepsOf(method);

  test('has a tiny preset', () => {
    expect(preset).toMatch(/^tiny/);
  });

  test(`${steps} updates of it fall in loss without collapsing`, async () => {
    const run = join(folder, `${method}-whole`);
    const args = ['train', '--preset', preset ?? '', '--shards', SHARDS, '--engine', fastest, '--steps', String(steps), '--out', run];
    const { code, stderr } = await detco(args);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const lines = await updates(run);
    expect(lines).toHaveLength(steps);
    const mean = (part: readonly Line[]) => part.reduce((sum, { loss }) => sum + loss, 0) / part.length;
    // A queue of random keys makes the first losses low: the highest stretch counts, not the first.
    const stretches = Array.from({ length: steps / 10 }, (_, i) => mean(lines.slice(10 * i, 10 * i + 10)));
    expect(stretches.at(-1)).toBeLessThan(0.98 * Math.max(...stretches));
    const dimensions = await dimensionsOf(preset ?? '');
    for (const { featureStd } of lines.slice(-10)) expect(featureStd).toBeGreaterThan(0.25 / Math.sqrt(dimensions));
  });
});

describe.each(SMALL_FORMS)('$form', (small) => {
  for (const engine of enginesOf(small))
    where[engine].test(
      `stopped in the midst of it on ${engine}, a run goes on to the losses and tensors of one that was not${where[engine].note}`,
      () => expectSameResumed(small, engine),
    );
});

/** The fastest, and wasm for each method; how TensorFlow's tensors come back is the same for all. */
function enginesOf({ form, method }: SmallForm): readonly EngineName[] {
  return ENGINE_NAMES.filter((name) => name === fastest || form === METHOD_NAMES[0] || (name === 'wasm' && form === method));
}

/**
 * On the fastest engine a process of its own is killed. On the others the run's folder is what it was at a checkpoint: that saves the two
 * seconds that a process takes to start.
 */
async function expectSameResumed({ form, method, preset, options }: SmallForm, engine: EngineName): Promise<void> {
  const name = join(folder, form.replaceAll(' ', '-'));
  const config = `${name}.yaml`;
  const narrow = JSON.stringify(known(method, { width: 4, dim: 8, queueSize: 32, queueEpoch: 0, frozenEpochs: 0, ...options }));
  await writeFile(
    config,
    `preset: ${preset}\nbatch: 8\nepochs: 1\nmethod: ${narrow}\nrecipe: ${JSON.stringify(smallRecipe(preset, 32))}\noptimizer: { name: ${optimizer(method)} }\ncheckpointEvery: 2\n`,
  );
  const [whole, stopped] = [`${name}-${engine}-whole`, `${name}-${engine}-stopped`];
  const file = await readConfigFile(config);
  expect(await train({ file, shards: [SHARDS], engine, steps: 6, workers: 1, out: whole })).toMatchObject({ step: 6 });
  if (engine === fastest) {
    const args = ['train', '--config', config, '--shards', SHARDS, '--engine', engine, '--steps', '6', '--workers', '1', '--out', stopped];
    const reached = `checkpoint ${join(stopped, 'checkpoints', 'step-4')}`;
    expect(await detco(args, { onLine: (line) => (line === reached ? 'SIGKILL' : undefined) })).toMatchObject({ signal: 'SIGKILL' });
  } else {
    await cp(whole, stopped, { recursive: true, verbatimSymlinks: true });
    await rm(join(stopped, 'checkpoints', 'step-6'), { recursive: true });
  }
  expect(await train({ resume: join(stopped, 'checkpoints', 'step-4') })).toMatchObject({ step: 6 });
  expect(await updates(stopped)).toEqual(await updates(whole));
  await expectSameTensors(stopped, whole);
}

/** What the method's full preset trains by. */
function optimizer(method: string): string {
  const full = Object.entries(METHOD_PRESETS).find(([name, preset]) => preset.method.name === method && name.endsWith('-r50'));
  return full?.[1].optimizer?.name ?? 'sgd';
}

/** Of the embeddings of the method as a preset has it. */
async function dimensionsOf(preset: string): Promise<number> {
  const engine = await selectEngine('wasm');
  try {
    const options = methodOptions(METHOD_PRESETS[preset]?.method as MethodInput);
    const kind = methodKind(options.name);
    const method = kind.create(engine, kind.forImages?.(options, 1) ?? options, 0);
    const { dimensions } = method;
    method.dispose();
    return dimensions;
  } finally {
    await engine.dispose();
  }
}
