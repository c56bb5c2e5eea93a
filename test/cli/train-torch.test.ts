/** `detco train` on the engine torch, as a user runs it: real processes, the repository's own shards. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import { whereAvailable } from '../engine/available.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { detco } from './detco.js';

jest.setTimeout(300_000);

const STEPS = 6;
const CONFIG = `
preset: tiny
engine: torch
device: cpu
threads: 2
batch: 8
epochs: 1
method: { width: 8, dim: 16, queueSize: 64, bnGroups: 2 }
recipe: { globalSize: 32, patchSize: 16 }
checkpointEvery: 2
keepCheckpoints: 9
`;

const torch = await whereAvailable('torch');

torch.describe(`detco train --engine torch${torch.note}`, () => {
  let folder: string;
  let options: string[];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-train-torch-'));
    await writeFile(join(folder, 'config.yaml'), CONFIG);
    options = ['train', '--config', join(folder, 'config.yaml'), '--shards', 'fixtures/shards/train-*.tar'];
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function losses(run: string): Promise<number[]> {
    const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    return lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
  }

  test('--precision bf16 --threads 1 --steps 2', async () => {
    const run = join(folder, 'short');
    const flags = ['--engine', 'torch', '--precision', 'bf16', '--threads', '1', '--steps', '2', '--out', run, '--json'];
    const { code, stdout, stderr } = await detco([...options, ...flags]);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(stderr).toMatch(/engine torch: TensorFlow\.js .* over LibTorch .*, CPU, 1 thread, bf16/);
    expect(JSON.parse(stdout)).toMatchObject({ finished: true, step: 2, run, engine: 'torch' });
    for (const loss of await losses(run)) expect(loss).toBeGreaterThan(0);
    expect(JSON.parse(await readFile(join(run, 'config.json'), 'utf8'))).toMatchObject({ engine: 'torch', precision: 'bf16', threads: 1 });
  });

  test.each(['fp32', 'bf16'])('killed and resumed in %s, has the losses and weights of a run that was not', async (precision) => {
    const [whole, killed] = [join(folder, `whole-${precision}`), join(folder, `killed-${precision}`)];
    const start = [...options, '--precision', precision, '--steps', String(STEPS), '--out'];
    expect(await detco([...start, whole])).toMatchObject({ code: 0 });
    expect(await losses(whole)).toHaveLength(STEPS);

    const { signal } = await detco([...start, killed], {
      onLine: (line) => (line === `checkpoint ${join(killed, 'checkpoints', 'step-2')}` ? 'SIGKILL' : undefined),
    });
    expect(signal).toBe('SIGKILL');
    const { state } = await loadCheckpoint(killed);
    expect(state.step).toBeLessThan(STEPS);
    expect(await detco(['train', '--resume', killed])).toMatchObject({ code: 0 });
    expect(await losses(killed)).toEqual(await losses(whole));
    await expectSameTensors(killed, whole);
  });
});
