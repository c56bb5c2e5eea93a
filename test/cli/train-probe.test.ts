/** `detco train --eval linear`: a probe beside a run leaves the run what it is, and survives a kill. Real processes, the wasm engine. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { expectSameTensors } from '../support/checkpoints.js';
import { writeTestShards } from '../support/shards.js';
import { detco } from './detco.js';

jest.setTimeout(300_000);

/** 24 samples of five classes: three steps an epoch. */
const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
lr: 0.1
method: { width: 4, dim: 8, queueSize: 24, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
checkpointEvery: 2
evalEvery: 1
keepCheckpoints: 9
lanes: 2
shuffle: 8
knn: { bank: 8, queries: 8 }
`;

type Line = Readonly<Record<string, unknown>>;

describe('detco train --eval linear', () => {
  let folder = '';
  let shards: string[] = [];
  let plain = '';
  let probed = '';

  const train = async (args: readonly string[]): Promise<string> => {
    const { code, stderr } = await detco(['train', ...args]);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    return stderr;
  };
  const begin = (run: string, ...args: readonly string[]) =>
    train(['--config', join(folder, 'config.yaml'), '--shards', ...shards, '--out', run, ...args]);
  /** Lines of metrics.jsonl without what a clock put there. */
  const lines = async (run: string): Promise<Line[]> =>
    (await readFile(join(run, 'metrics.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((text) => {
        const { imagesPerSecond: _rate, dataWaitMs: _wait, stepMs: _step, ...line } = JSON.parse(text) as Line;
        return line;
      });
  const parts = async (run: string) => (await readdir(join(run, 'last'))).filter((name) => name.endsWith('.safetensors')).toSorted();
  /** A copy as a kill after step 4 leaves it. */
  const killed = async (run: string, name: string): Promise<string> => {
    const copy = join(folder, name);
    await cp(run, copy, { recursive: true, verbatimSymlinks: true });
    await rm(join(copy, 'checkpoints', 'step-6'), { recursive: true });
    return copy;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-probe-'));
    await writeFile(join(folder, 'config.yaml'), CONFIG);
    shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12] });
    [plain, probed] = [join(folder, 'plain'), join(folder, 'probed')];
    await begin(plain);
    await begin(probed, '--eval', 'linear', '--val-shards', shards[0] as string);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('changes no bit of what is trained', async () => {
    const updates = (await lines(probed)).filter((line) => 'loss' in line);
    expect(updates.map(({ probeTop1: _top1, probeLoss: _loss, ...line }) => line)).toEqual(await lines(plain));
    expect(await parts(probed)).toEqual([...(await parts(plain)), 'probe.safetensors'].toSorted());
    for (const part of await parts(plain)) {
      const [with_, without] = await Promise.all([probed, plain].map((run) => readFile(join(run, 'last', part))));
      expect({ part, same: without !== undefined && with_?.equals(without) }).toEqual({ part, same: true });
    }
  });

  test('tells of each batch what the probe makes of it, and of the validation images what it has learned', async () => {
    const all = await lines(probed);
    for (const line of all) expect(line['probeTop1']).toEqual(expect.any(Number));
    // 8 columns for five classes, all as likely at first.
    expect(all[0]?.['probeLoss']).toBeCloseTo(Math.log(8), 5);
    expect(all.filter((line) => !('loss' in line)).map(({ step }) => step)).toEqual([3, 6]);
  });

  test('goes on after a kill as if there had been none', async () => {
    const run = await killed(probed, 'killed');
    await train(['--resume', run]);
    expect(await lines(run)).toEqual(await lines(probed));
    await expectSameTensors(run, probed);
  });

  test('is left out or taken in at a resume', async () => {
    const without = await killed(probed, 'left-out');
    await train(['--resume', without, '--eval', 'knn']);
    expect(await parts(without)).toEqual(await parts(plain));
    const later = await killed(plain, 'taken-in');
    await train(['--resume', later, '--eval', 'linear']);
    expect(await parts(later)).toEqual(await parts(probed));
    expect((await lines(later)).map((line) => 'probeTop1' in line)).toEqual([false, false, false, false, true, true]);
  });

  test('refuses shards without labels before the first update, and says what to do', async () => {
    const shard = 'fixtures/archives/text-labels.tar';
    const run = join(folder, 'unlabelled');
    const options = ['--config', join(folder, 'config.yaml'), '--batch', '6', '--queue-size', '24', '--eval', 'linear'];
    const { code, stderr } = await detco(['train', ...options, '--shards', shard, '--out', run]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining(
        'evaluate (--eval) linear: none of the 6 images of the first batch has a label; expected KEY.cls members in the shards, ' +
          'or labelField (--label-field) with the field that has the label. Leave linear out to train without labels',
      ),
    });
    expect(await readFile(join(run, 'metrics.jsonl'), 'utf8').catch(() => '')).toBe('');
  });
});
