/**
 * What holds for every method of the registry, with the preset that begins with `tiny`: a run falls in loss without collapsing, and one
 * that is continued from a checkpoint is, on each engine, the one that did not stop there. A method is tested by its line there.
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
import { known, smallRecipe, TINY_PRESETS } from '../support/small-method.js';

jest.setTimeout(300_000);

const SHARDS = 'fixtures/shards/train-{000..003}.tar';
const STEPS = 60;

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
  test('has a tiny preset', () => {
    expect(preset).toMatch(/^tiny/);
  });

  test(`${STEPS} updates of it fall in loss without collapsing`, async () => {
    const run = join(folder, `${method}-whole`);
    const args = ['train', '--preset', preset ?? '', '--shards', SHARDS, '--engine', fastest, '--steps', String(STEPS), '--out', run];
    const { code, stderr } = await detco(args);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const lines = await updates(run);
    expect(lines).toHaveLength(STEPS);
    const mean = (part: readonly Line[]) => part.reduce((sum, { loss }) => sum + loss, 0) / part.length;
    // A queue of random keys makes the first losses low: the highest stretch counts, not the first.
    const stretches = Array.from({ length: STEPS / 10 }, (_, i) => mean(lines.slice(10 * i, 10 * i + 10)));
    expect(stretches.at(-1)).toBeLessThan(0.98 * Math.max(...stretches));
    const dimensions = await dimensionsOf(preset ?? '');
    for (const { featureStd } of lines.slice(-10)) expect(featureStd).toBeGreaterThan(0.25 / Math.sqrt(dimensions));
  });

  // How TensorFlow's tensors come back is the same for every method.
  for (const engine of ENGINE_NAMES.filter((name) => name !== 'tensorflow' || method === METHOD_NAMES[0]))
    where[engine].test(
      `continued from the midst of it on ${engine}, a run has the losses and tensors of one that did not stop there${where[engine].note}`,
      () => expectSameResumed(method, preset ?? '', engine),
    );
});

/** As `npx detco train --resume` does it, without the two seconds that a process takes to start. */
async function expectSameResumed(method: string, preset: string, engine: EngineName): Promise<void> {
  const config = join(folder, `${method}.yaml`);
  const narrow = JSON.stringify(known(method, { width: 4, dim: 8, queueSize: 32, queueEpoch: 0, frozenEpochs: 0 }));
  await writeFile(
    config,
    `preset: ${preset}\nbatch: 8\nepochs: 1\nmethod: ${narrow}\nrecipe: ${JSON.stringify(smallRecipe(preset, 32))}\noptimizer: { name: ${optimizer(method)} }\ncheckpointEvery: 2\n`,
  );
  const [whole, continued] = [join(folder, `${method}-${engine}-whole`), join(folder, `${method}-${engine}-continued`)];
  const file = await readConfigFile(config);
  expect(await train({ file, shards: [SHARDS], engine, steps: 6, workers: 1, out: whole })).toMatchObject({ step: 6 });
  await cp(whole, continued, { recursive: true, verbatimSymlinks: true });
  await rm(join(continued, 'checkpoints', 'step-6'), { recursive: true });
  expect(await train({ resume: join(continued, 'checkpoints', 'step-4') })).toMatchObject({ step: 6 });
  expect(await updates(continued)).toEqual(await updates(whole));
  await expectSameTensors(continued, whole);
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
