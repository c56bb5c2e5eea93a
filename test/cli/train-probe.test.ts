/** `detco train --eval linear`: a probe beside a run leaves the run what it is, and survives a kill. Real processes, the wasm engine. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { expectSameTensors } from '../support/checkpoints.js';
import { clocklessLines } from '../support/metrics.js';
import { testKey, writeTestShards } from '../support/shards.js';
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
  const lines = (run: string) => clocklessLines<Line>(run);
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

  describe('where labels are few, or no classes', () => {
    /** Keys in order; of two shards, by lanes of their own that shuffle eight samples. */
    const labelled = (name: string, label: (key: string) => number | undefined) =>
      writeTestShards(join(folder, name), { counts: [12, 12], label });
    const run = async (name: string, shards: readonly string[], ...options: readonly string[]) => {
      const out = join(folder, `${name}-run`);
      const args = ['--config', join(folder, 'config.yaml'), '--eval', 'linear', ...options, '--shards', ...shards, '--out', out];
      const { code, stderr } = await detco(['train', ...args]);
      const warnings = stderr.split('\n').filter((line) => line.includes('linear probe'));
      return { code, stderr: code === 0 ? '' : stderr, warnings, out };
    };

    test('a label beyond what the probe has room for counts as none, and is told once', async () => {
      const key = testKey(1, 11);
      const given = await labelled('stray', (one) => (one === key ? 99_999 : Number(one.at(-1)) % 5));
      const { out, ...told } = await run('stray', given);
      expect(told).toEqual({
        code: 0,
        stderr: '',
        warnings: [
          `warning: linear probe: the label 99999 of "${key}" in "${given[1]}" counts as none: expected classes from 0 to 32767. ` +
            'Others like it are passed over in silence',
        ],
      });
      // The same images as those of the run without a probe: every update is made, and the probe learns in each.
      const all = await lines(out);
      expect(all.map(({ probeTop1: _top1, probeLoss: _loss, ...line }) => line)).toEqual(await lines(plain));
      for (const line of all) expect(line).toMatchObject({ probeTop1: expect.any(Number), probeLoss: expect.any(Number) });
    });

    test('a first batch without labels is warned of, and the probe begins with the first label', async () => {
      // The last of its shard cannot be among the first four.
      const given = await labelled('sparse', (one) => (one === testKey(1, 11) ? 3 : undefined));
      const { out, ...told } = await run('sparse', given);
      expect(told).toEqual({
        code: 0,
        stderr: '',
        warnings: [
          'warning: linear probe: none of the 8 images of the first batch has a label to learn from; it begins with the first that has ' +
            'one. If none should have: KEY.cls members of the shards are labels, or those of the field that labelField (--label-field) names',
        ],
      });
      // Once in each epoch.
      const all = await lines(out);
      expect(all).toHaveLength(6);
      expect(all.filter((line) => 'probeTop1' in line).map(({ epoch }) => epoch)).toEqual([0, 1]);
    });

    test('shards whose labels are no classes are refused before the first update', async () => {
      const given = await labelled('numbers', () => 20_240_101);
      const { code, stderr, out } = await run('numbers', given);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringMatching(
          new RegExp(
            'evaluate \\(--eval\\) linear: no label of the 8 images of the first batch is a class that the probe has room for: expected ' +
              'classes from 0 to 32767, and the label 20240101 of "s\\d-\\d{3}" in ".*\\.tar" is the first\\. Name the field that has the ' +
              'class with labelField \\(--label-field\\), or leave linear out',
          ),
        ),
      });
      expect(await readFile(join(out, 'metrics.jsonl'), 'utf8').catch(() => '')).toBe('');
    });
  });
});
