/** `detco train --ranks`, and what other launchers start: real processes on the engine torch, which talk by Gloo. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import type { EvaluationMetrics, StepMetrics } from '#dist/train/metrics.js';
import { hasTools } from '../engine/available.js';
import { whereRanks } from '../ranks/available.js';
import { freePort, runCommand } from '../ranks/run-ranks.js';
import { until } from '../support/bytes.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { answer, startHttp } from '../support/http.js';
import { testKey, writeTestShards } from '../support/shards.js';
import { closingTerminal } from '../support/terminal.js';
import { detco, type Outcome } from './detco.js';

jest.setTimeout(600_000);

/** 48 samples: six steps an epoch. */
const CONFIG = `
preset: tiny
engine: torch
device: cpu
threads: 1
workers: 1
batch: 8
epochs: 2
lr: 0.03
method: { width: 8, dim: 16, queueSize: 32, bnGroups: 2 }
recipe: { globalSize: 32, patchSize: 16 }
checkpointEvery: 4
keepCheckpoints: 9
lanes: 4
shuffle: 4
`;
const STEPS = 12;
/** What one process is to be told to have the losses of several. */
const AS_RANKS = ['--divide', 'samples', '--group-rows', 'interleaved'];

const where = await whereRanks();

where.describe(`detco train on several ranks${where.note}`, () => {
  let folder = '';
  let options: string[] = [];
  const at = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-train-ranks-'));
    await writeFile(at('config.yaml'), CONFIG);
    const shards = await writeTestShards(at('shards'), { counts: [12, 12, 16, 8] });
    options = ['train', '--config', at('config.yaml'), '--shards', ...shards];
    await succeed([...options, '--ranks', '2', '--out', at('two')]);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function succeed(args: readonly string[]): Promise<Outcome> {
    const outcome = await detco(args);
    expect({ code: outcome.code, stderr: outcome.code === 0 ? '' : outcome.stderr }).toEqual({ code: 0, stderr: '' });
    return outcome;
  }

  async function metrics(run: string): Promise<Partial<StepMetrics & EvaluationMetrics>[]> {
    const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Partial<StepMetrics & EvaluationMetrics>);
  }

  async function losses(run: string): Promise<number[]> {
    return (await metrics(run)).flatMap(({ loss }) => loss ?? []);
  }

  async function expectAlike(run: string, other: string): Promise<void> {
    const [found, expected] = await Promise.all([run, other].map(losses));
    expect(found).toHaveLength(expected?.length ?? NaN);
    expect(Math.abs((found?.[0] ?? NaN) / (expected?.[0] ?? NaN) - 1)).toBeLessThan(1e-5);
    for (let i = 0; i < 5; i++) expect(Math.abs((found?.[i] ?? NaN) / (expected?.[i] ?? NaN) - 1)).toBeLessThan(2e-3);
  }

  test('has the losses of one process with the same batch and batch norm groups, and leaves one run', async () => {
    await succeed([...options, ...AS_RANKS, '--out', at('one')]);
    await expectAlike(at('two'), at('one'));
    expect(await losses(at('two'))).toHaveLength(STEPS);
    const { state } = await loadCheckpoint(at('two/last'));
    expect(state).toMatchObject({ step: STEPS, epoch: 2, pipeline: { epoch: 2, step: STEPS } });
  });

  test('evaluates with all ranks: kNN, rank and a probe that learns from the images of all are those of one process', async () => {
    // Some of the images, and ranks have unequal shares of them.
    await writeFile(at('limited.yaml'), `${CONFIG}knn: { bank: 45, queries: 43 }\n`);
    const limited = ['--config', at('limited.yaml')];
    const val = [...limited, '--val-shards', join(folder, 'shards'), '--eval', 'knn,rank,linear', '--steps', '6'];
    await succeed([...options, ...val, ...AS_RANKS, '--out', at('one-evaluated')]);
    await succeed([...options, ...val, '--ranks', '2', '--steps', '3', '--out', at('two-evaluated')]);
    await succeed(['train', '--resume', at('two-evaluated'), '--steps', '6', '--ranks', '2']);
    const [one, two] = await Promise.all(['one-evaluated', 'two-evaluated'].map((run) => metrics(at(run))));
    const [learned, same] = [one, two].map((lines) => lines?.flatMap(({ probeLoss }) => probeLoss ?? []) ?? []);
    expect(same).toHaveLength(6);
    for (const [i, loss] of same?.entries() ?? []) expect(Math.abs(loss / (learned?.[i] ?? NaN) - 1)).toBeLessThan(0.02);
    const found = (lines: typeof one, at: number) => lines?.find(({ step, effectiveRank }) => step === at && effectiveRank !== undefined);
    expect(found(two, 0)?.knnTop1).toBe(found(one, 0)?.knnTop1);
    expect((found(two, 0)?.effectiveRank ?? NaN) / (found(one, 0)?.effectiveRank ?? NaN)).toBeCloseTo(1, 4);
    for (const step of [0, 6]) {
      const [expected, got] = [found(one, step), found(two, step)];
      expect(Math.abs((got?.effectiveRank ?? NaN) / (expected?.effectiveRank ?? NaN) - 1)).toBeLessThan(0.02);
      expect(Math.abs((got?.knnTop1 ?? NaN) - (expected?.knnTop1 ?? NaN))).toBeLessThan(0.1);
    }
    expect(Math.abs((found(two, 6)?.probeTop1 ?? NaN) - (found(one, 6)?.probeTop1 ?? NaN))).toBeLessThan(0.1);
  });

  test('a resumed run has the losses and the bytes of one that was not stopped', async () => {
    await succeed([...options, '--ranks', '2', '--steps', '8', '--out', at('stopped')]);
    await succeed(['train', '--resume', at('stopped'), '--steps', String(STEPS), '--ranks', '2']);
    expect(await losses(at('stopped'))).toEqual(await losses(at('two')));
    await expectSameTensors(at('stopped'), at('two'));
  });

  test.each([
    [2, 1],
    [1, 2],
    [2, 4],
  ])('a run of %i ranks goes on with %i in the middle of an epoch', async (before, after) => {
    const run = at(`from-${before}-to-${after}`);
    const begin = before === 1 ? AS_RANKS : ['--ranks', String(before)];
    await succeed([...options, ...begin, '--steps', '4', '--out', run]);
    const { stderr } = await succeed(['train', '--resume', run, '--steps', String(STEPS), '--ranks', String(after)]);
    const warned = /the run has 2 interleaved batch norm groups, and goes on with 4, one a rank, on 4 ranks/;
    if (after === 4) expect(stderr).toMatch(warned);
    else expect(stderr).not.toMatch(/goes on with/);
    const { state } = await loadCheckpoint(join(run, 'last'));
    const whole = await loadCheckpoint(at('two/last'));
    // The samples that were taken are those of a run that was not stopped.
    expect(state.pipeline?.lanes).toEqual(whole.state.pipeline?.lanes);
    expect(state.step).toBe(STEPS);
    if (after < 4) await expectAlike(run, at('two'));
  });

  test.each<[NodeJS.Signals, number, number]>([
    ['SIGKILL', 0, 3],
    ['SIGKILL', 1, 5],
    // As where its machine is lost: no connection breaks.
    ['SIGSTOP', 0, 5],
    ['SIGSTOP', 1, 5],
  ])(
    'by %s rank %i is missed by the other after update %i, and a resume has the losses and the bytes of a run that was not',
    async (signal, lost, after) => {
      const run = at(`lost-${signal}-${lost}`);
      const env = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()) };
      const over = new AbortController();
      const ranks = [0, 1].map((rank) => {
        const child = spawn(process.execPath, ['bin/detco.cjs', ...options, '--out', run], {
          env: { ...process.env, ...env, RANK: String(rank) },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const ended = Promise.all([text(child.stderr), once(child, 'close')]).then(([stderr]) => {
          const { exitCode: code, signalCode: signal } = child;
          return { code, signal, stderr };
        });
        return { child, ended };
      });
      void Promise.race(ranks.map(({ ended }) => ended)).then(() => over.abort());
      await until(async () => over.signal.aborted || (await losses(run).catch(() => [])).length >= after);
      ranks[lost]?.child.kill(signal);
      const other = await ranks[1 - lost]?.ended;
      ranks[lost]?.child.kill('SIGKILL');
      expect((await ranks[lost]?.ended)?.signal).toBe('SIGKILL');
      expect(other?.code).toBe(1);
      expect(other?.stderr).toMatch(
        new RegExp(`rank ${lost} on .* is gone: .*The last good checkpoint is .*step-\\d+; continue with npx detco train --resume`),
      );
      await succeed(['train', '--resume', run, '--ranks', '2']);
      expect(await losses(run)).toEqual(await losses(at('two')));
      await expectSameTensors(run, at('two'));
    },
  );

  test('with a cache folder that the ranks share, each byte of a shard passes once: for the index, the epochs and the evaluation', async () => {
    const names = (await readdir(join(folder, 'shards'))).toSorted();
    const bodies = new Map<string, Buffer>();
    for (const name of names) bodies.set(`/${name}`, await readFile(join(folder, 'shards', name)));
    const sent = new Map<string, number>();
    const server = await startHttp((request, response) => {
      const path = request.url ?? '';
      const body = bodies.get(path);
      const [, first = 0, last = body?.byteLength ?? 0] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      sent.set(path, (sent.get(path) ?? 0) + Number(last) - Number(first));
      answer(request, response, body && { body, etag: '"one"' });
    });
    try {
      const shards = names.map((name) => `${server.url}/${name}`);
      const args = ['train', '--config', at('config.yaml'), '--shards', ...shards, '--val-shards', ...shards, '--eval', 'rank'];
      await succeed([...args, '--cache-dir', at('cache'), '--ranks', '2', '--out', at('cached')]);
      expect(await losses(at('cached'))).toEqual(await losses(at('two')));
      expect(Object.fromEntries(sent)).toEqual(Object.fromEntries([...bodies].map(([path, { byteLength }]) => [path, byteLength])));
    } finally {
      await server.close();
    }
  });

  test.each<[string, readonly string[], Readonly<Record<string, string>>, string]>([
    ['a batch that cannot be shared', ['--batch', '9'], {}, 'batch 9 with 2 ranks: each makes an equal share of it; use --batch 10'],
    ['another engine', ['--engine', 'wasm', '--device', 'auto'], {}, 'engine wasm computes in one process alone, and there are 2 ranks'],
    ['whole shards', ['--divide', 'shards'], {}, 'divide shards with 2 ranks: they share an epoch by samples'],
    ['a cache folder that is a file', ['--cache-dir', 'package.json'], {}, 'cacheDir (--cache-dir): '],
    ['options from a pipe', ['--config', '/dev/null'], {}, '--config /dev/null with --ranks: expected a file, which each rank can read'],
  ])('%s is refused by all with one voice, exit code 2', async (_, more, env, message) => {
    const { code, stderr } = await detco([...options, ...more, '--ranks', '2', '--out', at('refused')], { env });
    expect(stderr.split('\n').filter((line) => line.startsWith('detco: '))).toEqual([expect.stringContaining(`detco: ${message}`)]);
    expect(code).toBe(2);
  });

  test('bad samples of all ranks count together: one budget ends all of them alike, with what was computed saved', async () => {
    const bad = [0, 1].flatMap((shard) => Array.from({ length: 8 }, (_, index) => testKey(shard, 5 * index)));
    const shards = await writeTestShards(at('bad'), { counts: [40, 40], bad });
    const args = ['train', '--config', at('config.yaml'), '--shards', ...shards, '--epochs', '9'];
    const words = (run: string): RegExp =>
      new RegExp(
        String.raw`^detco: 1\d bad samples, more than maxBadSamples 0\.01 allows; the last is s\d-\d+ at byte \d+ of \S+: .*` +
          String.raw`What was computed up to step (\d+) is in ${at(run)}/checkpoints/step-(\d+); mend the shard .* --resume`,
        'm',
      );
    const alone = await detco([...args, '--out', at('bad-one')]);
    expect(alone.stderr).toMatch(words('bad-one'));
    const env = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()) };
    const ended = await Promise.all(['0', '1'].map((rank) => detco([...args, '--out', at('bad-two')], { env: { ...env, RANK: rank } })));
    const { state } = await loadCheckpoint(at('bad-two/last'));
    for (const { code, stderr } of ended) {
      expect({ code, stderr }).toEqual({ code: alone.code, stderr: expect.stringMatching(words('bad-two')) });
      const [, step, checkpoint] = words('bad-two').exec(stderr) ?? [];
      expect([Number(step), Number(checkpoint)]).toEqual([state.step, state.step]);
    }
    expect(await losses(at('bad-two'))).toHaveLength(state.step);
    expect((await readFile(at('bad-two/bad-samples.jsonl'), 'utf8')).trimEnd().split('\n').length).toBeGreaterThan(10);
  });

  const terminal = hasTools('script', 'nohup') ? test : test.skip;
  terminal('under nohup all ranks go on when the terminal closes', async () => {
    const words = [...options, '--epochs', '8', '--ranks', '2', '--out', at('nohup')];
    const line = ['nohup', process.execPath, 'bin/detco.cjs', ...words].map((word) => `'${word}'`).join(' ');
    expect(await closingTerminal(at('nohup'), `${line} > '${at('nohup.log')}' 2>&1`)).toBe('0');
    expect(await losses(at('nohup'))).toHaveLength(4 * STEPS);
  });

  const mpirun = hasTools('mpirun') ? test : test.skip;
  mpirun('two ranks of mpirun have the bits of two that it started itself', async () => {
    const args = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-np', '2', process.execPath, 'bin/detco.cjs'];
    const env = { MASTER_PORT: String(await freePort()) };
    const { code, stderr } = await runCommand('mpirun', [...args, ...options, '--out', at('mpirun')], { ...process.env, ...env });
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(await losses(at('mpirun'))).toEqual(await losses(at('two')));
    await expectSameTensors(at('mpirun'), at('two'));
  });

  test('ranks with other options: both name the first difference', async () => {
    const port = String(await freePort());
    const rank = (number: string, more: readonly string[]) =>
      detco([...options, ...more, '--out', at('different')], {
        env: { RANK: number, WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port },
      });
    const ended = await Promise.all([rank('0', []), rank('1', ['--seed', '3'])]);
    for (const { code, stderr } of ended) {
      expect(stderr).toContain('seed is 3 on rank 1, and none on rank 0: start all ranks with the same options');
      expect(code).toBe(2);
    }
  });

  test.each([
    [
      'other shards',
      'rank 1 finds 1 shard, and rank 0 2 shards, in shards /proc/self/cwd/shards/shard-*.tar',
      ['shard-000.tar'],
      'cat\ndog\n',
    ],
    [
      'other names of classes',
      'rank 1 finds other names than rank 0 in classesFile (--classes-file) /proc/self/cwd/names.txt',
      ['shard-000.tar', 'shard-001.tar'],
      'dog\ncat\n',
    ],
  ])('ranks on machines with %s: both say so', async (what, message, shards, names) => {
    const port = String(await freePort());
    const rank = async (number: string, have: readonly string[], list: string) => {
      const cwd = at(`${what} ${number}`);
      await mkdir(join(cwd, 'shards'), { recursive: true });
      for (const name of have) await symlink(join(folder, 'shards', name), join(cwd, 'shards', name));
      await writeFile(join(cwd, 'names.txt'), list);
      // The same words on both, and the own folder of each.
      const data = ['--shards', '/proc/self/cwd/shards/shard-*.tar', '--classes-file', '/proc/self/cwd/names.txt'];
      const args = ['train', '--config', at('config.yaml'), ...data, '--out', at('other')];
      return detco(args, {
        bin: resolve('bin/detco.cjs'),
        cwd,
        env: { RANK: number, WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port },
      });
    };
    for (const { code, stderr } of await Promise.all([
      rank('0', ['shard-000.tar', 'shard-001.tar'], 'cat\ndog\n'),
      rank('1', shards, names),
    ])) {
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
  });
});
