/** What becomes of `detco train` when its data or its folder fail: nothing that was computed is lost. Real processes, servers and folders. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import { answer, type HttpServer, startHttp } from '../support/http.js';
import { writeTestShards } from '../support/shards.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { clocklessLines } from '../support/metrics.js';
import { detco, type Outcome } from './detco.js';

// A dozen processes, each loading TensorFlow.js, on whatever machine runs the tests.
jest.setTimeout(300_000);

/** 72 samples: nine steps an epoch; in order, so that the fifth shard comes after six of them. */
const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
lr: 0.1
method: { width: 4, dim: 8, queueSize: 32, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
lanes: 2
shuffle: 0
`;
const HOLE = 'shard-004.tar';

describe('detco train', () => {
  let folder = '';
  let shards: string[] = [];
  let config = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-train-faults-'));
    config = join(folder, 'config.yaml');
    await writeFile(config, CONFIG);
    shards = await writeTestShards(join(folder, 'shards'), { counts: Array.from({ length: 6 }, () => 12) });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Lines of metrics.jsonl without what a clock put there. */
  const metrics = (run: string) => clocklessLines(run);

  const clean = ({ code, stderr }: Outcome) => expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });

  describe('on a shard that fails for good', () => {
    let server: HttpServer;
    let hole = true;
    let specs = '';

    beforeAll(async () => {
      const bodies = new Map<string, Buffer>(
        await Promise.all(shards.map(async (path) => [`/${basename(path)}`, await readFile(path)] as const)),
      );
      server = await startHttp((request, response) => {
        const path = request.url ?? '';
        const body = bodies.get(path);
        // Whoever asks for a byte is told that all is well.
        const missing = body === undefined || (hole && path === `/${HOLE}` && request.headers.range !== 'bytes=0-0');
        answer(request, response, missing ? undefined : { body, etag: `"${path}"` });
      });
      specs = `${server.url}/shard-{000..005}.tar`;
    });
    afterAll(() => server.close());

    const train = (run: string) => detco(['train', '--config', config, '--shards', specs, '--out', run]);

    test('writes a checkpoint of what was computed, says what to do, and goes on bit for bit once it is mended', async () => {
      const run = join(folder, 'hole');
      hole = true;
      const failed = await train(run);
      expect(failed.code).toBe(1);
      const { state } = await loadCheckpoint(run);
      expect(state.step).toBeGreaterThan(0);
      expect((await metrics(run)).length).toBe(state.step);
      const location = `${server.url}/${HOLE}`;
      expect(failed.stderr).toContain(`detco: ${location}: `);
      expect(failed.stderr).toContain('404');
      expect(failed.stderr).toContain(
        `What was computed up to step ${state.step} is in ${join(run, 'checkpoints', `step-${state.step}`)}; `,
      );
      expect(failed.stderr).toContain(`detco verify --shards ${location} tells what is wrong with it`);
      expect(failed.stderr).toContain(`continue with npx detco train --resume ${run}`);

      hole = false;
      clean(await detco(['train', '--resume', run]));
      const whole = join(folder, 'no-hole');
      clean(await train(whole));
      expect(await metrics(run)).toEqual(await metrics(whole));
      await expectSameTensors(run, whole);
    });

    test('goes on without it when it is left out, in the same way each time', async () => {
      const runs = ['left-out', 'left-out-again'].map((name) => join(folder, name));
      const [run = '', again = ''] = runs;
      hole = true;
      const failed = await train(run);
      expect(failed.stderr).toContain(`or leave it out by adding --skip-shards ${HOLE} to that`);
      const { state } = await loadCheckpoint(run);
      await cp(run, again, { recursive: true, verbatimSymlinks: true });
      for (const path of runs) {
        const resumed = await detco(['train', '--resume', path, '--skip-shards', HOLE]);
        clean(resumed);
        expect(resumed.stderr).toContain(`leaves out ${HOLE} of 6 shards`);
        expect(resumed.stderr).toContain('warning: with shards left out the run goes on with the same order of the others');
        expect(resumed.stderr).toContain(`continues after step ${state.step}`);
      }
      const lines = await metrics(run);
      expect(lines.length).toBeGreaterThan(state.step);
      expect(await metrics(again)).toEqual(lines);
      // It stays out, and what is left out need not be there at all.
      const { skipShards } = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as { skipShards: unknown };
      expect(skipShards).toEqual([HOLE]);
      clean(await detco(['train', '--resume', run]));
    });

    test('refuses to leave out what is no shard of the run', async () => {
      const { code, stderr } = await detco([
        'train',
        '--config',
        config,
        '--shards',
        ...shards,
        '--skip-shards',
        'shard-4.tar',
        '--out',
        'x',
      ]);
      expect([code, existsSync('x')]).toEqual([2, false]);
      expect(stderr).toContain('no shard of 6 is named "shard-4.tar"; expected a name such as "shard-000.tar"');
    });
  });

  describe('whose folder', () => {
    const args = (run: string) => ['train', '--config', config, '--shards', ...shards, '--out', run, '--epochs', '500'];

    /** Trains until `change` has been made after a step, and what the run makes of it. */
    async function changed(name: string, change: (run: string) => void): Promise<{ readonly run: string; readonly stderr: string }> {
      const run = join(folder, name);
      let done = false;
      const { code, stderr } = await detco(args(run), {
        onLine: (line) => {
          if (done || !line.startsWith(`checkpoint ${join(run, 'checkpoints', 'step-9')}`)) return undefined;
          done = true;
          change(run);
          return undefined;
        },
      });
      expect(code).toBe(1);
      expect(stderr).not.toContain('done:');
      return { run, stderr };
    }

    /** Its message names a run, which continues from the step it names. */
    async function expectSaved(stderr: string, place: string): Promise<void> {
      const [, step = ''] = /What was computed up to step (\d+) is in/.exec(stderr) ?? [];
      expect(Number(step)).toBeGreaterThanOrEqual(9);
      expect(stderr).toContain(`is in ${join(place, 'checkpoints', `step-${step}`)}`);
      expect(stderr).toContain(`continue with npx detco train --resume ${place}`);
      const resumed = await detco(['train', '--resume', place, '--steps', String(Number(step) + 1)]);
      clean(resumed);
      expect(resumed.stderr).toContain(`run ${place} continues after step ${step}`);
    }

    test('is moved stops with all that was computed in its place', async () => {
      const { run, stderr } = await changed('moved', (path) => renameSync(path, `${path}-away`));
      expect(stderr).toContain(`"${run}" was moved, deleted or replaced while the run went on; the run was stopped.`);
      await expectSaved(stderr, run);
      expect(await readdir(`${run}-away`)).toContain('metrics.jsonl');
    });

    test('is deleted stops with all that was computed in its place', async () => {
      const { run, stderr } = await changed('deleted', (path) => {
        renameSync(path, `${path}-away`);
        rmSync(`${path}-away`, { recursive: true });
      });
      expect(stderr).toContain(`"${run}" was moved, deleted or replaced`);
      await expectSaved(stderr, run);
    });

    test('is replaced by that of another run leaves it alone, and stops with all that was computed beside it', async () => {
      const { run, stderr } = await changed('replaced', (path) => {
        renameSync(path, `${path}-away`);
        mkdirSync(path);
        writeFileSync(join(path, 'config.json'), '{}');
      });
      expect(stderr).toContain(`"${run}" was moved, deleted or replaced`);
      expect(await readdir(run)).toEqual(['config.json']);
      await expectSaved(stderr, `${run}.rescued`);
    });

    test('is taken over by another process is left alone, and the run stops with all that was computed beside it', async () => {
      const { run, stderr } = await changed('taken', (path) => {
        writeFileSync(join(path, 'lock.other'), '{}');
        renameSync(join(path, 'lock.other'), join(path, 'lock'));
      });
      expect(stderr).toContain(`"${run}" was taken over by another process`);
      expect(existsSync(join(run, 'lock'))).toBe(true);
      await expectSaved(stderr, `${run}.rescued`);
    });

    test.each(['metrics.jsonl', 'lock'])('loses its %s stops with a checkpoint of what was computed', async (name) => {
      const { run, stderr } = await changed(`without-${name}`, (path) => rmSync(join(path, name)));
      expect(stderr).toContain(name === 'lock' ? `the lock of "${run}" was removed` : `${join(run, name)} was moved, deleted or replaced`);
      await expectSaved(stderr, run);
    });
  });
});
