/** `detco train --resume`: what it names, what it finds there, and that nothing is lost by it. Real processes, the wasm engine. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { writeTestShards } from '../support/shards.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { clocklessLines } from '../support/metrics.js';
import { detco, detcoUntil, type Outcome } from './detco.js';

// Some twenty processes, each loading TensorFlow.js, on whatever machine runs the tests.
jest.setTimeout(300_000);

/** 24 samples: three steps an epoch. */
const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
lr: 0.1
method: { width: 4, dim: 8, queueSize: 24, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
checkpointEvery: 2
keepCheckpoints: 9
lanes: 2
shuffle: 8
`;
const STEPS = 6;

describe('detco train --resume', () => {
  let folder = '';
  let whole = '';
  let arguments_: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-resume-'));
    const config = join(folder, 'config.yaml');
    await writeFile(config, CONFIG);
    const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12] });
    arguments_ = ['train', '--config', config, '--shards', ...shards];
    whole = join(folder, 'whole');
    const { code, stderr } = await detco([...arguments_, '--out', whole]);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(await checkpoints(whole)).toEqual(['step-0', 'step-2', 'step-3', 'step-4', 'step-6']);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("a run's config.json is the config file of another, which has its options and its losses", async () => {
    const again = join(folder, 'again-by-config');
    expect(await detco(['train', '--config', join(whole, 'config.json'), '--out', again])).toMatchObject({ code: 0 });
    const [options, before] = await Promise.all([again, whole].map((run) => readFile(join(run, 'config.json'), 'utf8')));
    expect(JSON.parse(options ?? '')).toEqual(JSON.parse(before ?? '{}'));
    await expectWhole(again);
  });

  const checkpoints = async (run: string) => (await readdir(join(run, 'checkpoints'))).toSorted();
  const log = (run: string) => readFile(join(run, 'metrics.jsonl'), 'utf8');

  /** Lines of metrics.jsonl without what a clock put there. */
  const metrics = (run: string) => clocklessLines(run);

  /** A run is the uninterrupted one: the same losses, and the same bytes in the last checkpoint. */
  async function expectWhole(run: string): Promise<void> {
    expect(await metrics(run)).toEqual(await metrics(whole));
    await expectSameTensors(run, whole);
  }

  /** A copy of the whole run without its last checkpoint, as a kill after step 4 would leave it, and what else `change` does to it. */
  async function stopped(name: string, change: (run: string) => Promise<unknown> = async () => undefined): Promise<string> {
    const run = join(folder, name);
    await cp(whole, run, { recursive: true, verbatimSymlinks: true });
    await rm(join(run, 'checkpoints', 'step-6'), { recursive: true });
    await change(run);
    return run;
  }

  const said = ({ stderr }: Outcome) => stderr;

  test.each<[string, (run: string) => Promise<unknown>, string]>([
    ['missing', (run) => rm(join(run, 'last')), 'last is missing'],
    ['dangling', async () => undefined, 'step-6, which is not there'],
    [
      'a folder that a copy made of it',
      async (run) => {
        await rm(join(run, 'last'));
        await cp(join(run, 'checkpoints', 'step-4'), join(run, 'last'), { recursive: true });
      },
      'last is no link, as some copies leave it',
    ],
  ])('goes on from the newest complete checkpoint when `last` is %s, and loses nothing by a kill', async (what, change, problem) => {
    const run = await stopped(`last-${what.replaceAll(' ', '-')}`, change);
    const before = await log(run);
    const killed = await detco(['train', '--resume', run], {
      onLine: (line) => (line.startsWith('step 5') ? 'SIGKILL' : undefined),
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(said(killed)).toContain(`${problem}: took the newest complete checkpoint, ${join(run, 'checkpoints', 'step-4')}`);
    expect(said(killed)).toContain(`run ${run} continues after step 4`);
    expect((await log(run)).startsWith(before)).toBe(true);
    expect(await checkpoints(run)).toEqual(expect.arrayContaining(['step-0', 'step-2', 'step-3', 'step-4']));

    const resumed = await detco(['train', '--resume', join(run, 'last')]);
    expect({ code: resumed.code, stderr: resumed.code === 0 ? '' : said(resumed) }).toEqual({ code: 0, stderr: '' });
    await expectWhole(run);
  });

  test.each<[string, (run: string) => Promise<unknown>, RegExp]>([
    ['a lock that is a link to nothing', (run) => symlink('gone', join(run, 'lock')), /"[^"]*lock" is a link: expected the lock of a run/],
    ['a lock that is a folder', (run) => mkdir(join(run, 'lock')), /"[^"]*lock" is a folder: expected the lock of a run/],
    [
      'a log that is a folder',
      async (run) => {
        await rm(join(run, 'metrics.jsonl'));
        await mkdir(join(run, 'metrics.jsonl'));
      },
      /"[^"]*metrics\.jsonl" is no file/,
    ],
    [
      'checkpoints that are a file',
      async (run) => {
        await rm(join(run, 'checkpoints'), { recursive: true });
        await writeFile(join(run, 'checkpoints'), '');
      },
      /"[^"]*checkpoints" is a file: expected the folder/,
    ],
    ['a config.json that was cut', (run) => truncate(join(run, 'config.json'), 100), /config\.json is damaged .* restore it from a copy/],
  ])('refuses %s, and says what is wrong', async (what, change, message) => {
    const run = await stopped(what.replaceAll(' ', '-'), change);
    const { code, stderr } = await detco(['train', '--resume', run]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
  });

  test('says that lines of metrics.jsonl are gone, and goes on', async () => {
    const run = await stopped('cut-log', async (path) => {
      const lines = (await readFile(join(path, 'metrics.jsonl'), 'utf8')).split('\n');
      await writeFile(join(path, 'metrics.jsonl'), lines.toSpliced(1, 2).join('\n'));
    });
    const { code, stderr } = await detco(['train', '--resume', run]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('metrics.jsonl has no line of 2 of the 4 updates') });
  });

  test('goes back to a checkpoint that is named; later ones stay until the next is complete', async () => {
    const run = join(folder, 'back');
    await cp(whole, run, { recursive: true, verbatimSymlinks: true });
    const named = join(run, 'checkpoints', 'step-2');
    const killed = await detco(['train', '--resume', named], { onLine: (line) => (line.startsWith('step 3') ? 'SIGKILL' : undefined) });
    expect(said(killed)).toContain('goes back to step 2: step-6, step-4, step-3 and the lines of metrics.jsonl after it are removed when');
    expect(said(killed)).toContain(`run ${run} continues after step 2`);
    // The kill may come while the folder of the next is filled.
    expect(await checkpoints(run)).toEqual(expect.arrayContaining(await checkpoints(whole)));

    // What was there when it went back is still the newest.
    const again = await detco(['train', '--resume', run]);
    expect(said(again)).toContain('continues after step 6');

    const back = await detco(['train', '--resume', named, '--steps', '3']);
    expect(back.code).toBe(0);
    expect(await checkpoints(run)).toEqual(['step-0', 'step-2', 'step-3']);
    expect(await metrics(run)).toEqual((await metrics(whole)).slice(0, 3));
    expect((await detco(['train', '--resume', run, '--steps', String(STEPS)])).code).toBe(0);
    await expectWhole(run);
  });

  test.each([join('checkpoints', 'step-3'), '.step-4.removed', 'metrics.jsonl'])(
    'goes back and is killed before it makes %s: what was there goes on, line for line',
    async (target) => {
      const run = await stopped(`back-killed-${basename(target)}`);
      const killed = await detco(['train', '--resume', join(run, 'checkpoints', 'step-2'), '--steps', '3'], {
        env: { NODE_OPTIONS: `--import ${resolve('test/support/kill-at-rename.mjs')}`, DETCO_TEST_KILL_AT_RENAME: target },
      });
      expect(killed.signal).toBe('SIGKILL');
      const resumed = await detco(['train', '--resume', run, '--steps', String(STEPS)]);
      expect({ code: resumed.code, stderr: resumed.code === 0 ? '' : said(resumed) }).toEqual({ code: 0, stderr: '' });
      await expectWhole(run);
    },
  );

  test('refuses a damaged checkpoint, and names the sound one with the command that goes on from it', async () => {
    const run = await stopped('damaged');
    const file = join(run, 'checkpoints', 'step-4', 'optimizer.safetensors');
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 4, bytes.length - 2);
    await writeFile(file, bytes);
    const sound = join(run, 'checkpoints', 'step-3');
    const refused = await detco(['train', '--resume', run]);
    expect(refused.code).toBe(1);
    expect(said(refused)).toContain(`detco: ${file} is damaged: its SHA-256 is `);
    expect(said(refused)).toContain(`continue from it with npx detco train --resume ${sound}`);
    expect(await checkpoints(run)).toContain('step-4');

    expect((await detco(['train', '--resume', sound])).code).toBe(0);
    await expectWhole(run);
  });

  test.each<[string, (run: string) => Promise<unknown>, string]>([
    ['without its checkpoints', (run) => rm(join(run, 'checkpoints'), { recursive: true }), 'but metrics up to step 6'],
    [
      'whose checkpoints are halves',
      async (run) => {
        for (const name of await checkpoints(run)) await rm(join(run, 'checkpoints', name, 'state.json'));
      },
      'step-2 without a state.json',
    ],
  ])('refuses to begin a run again %s', async (what, change, found) => {
    const run = await stopped(what.replaceAll(' ', '-'), change);
    const before = await log(run);
    const refused = await detco(['train', '--resume', run]);
    expect(refused.code).toBe(1);
    expect(said(refused)).toContain(`"${run}" has no complete checkpoint, but `);
    expect(said(refused)).toContain(found);
    expect(said(refused)).toContain('start another run with another --out');
    expect(await log(run)).toBe(before);
  });

  test('refuses a config.json that was changed, and names the options with what they were', async () => {
    const run = await stopped('changed', async (copy) => {
      const file = join(copy, 'config.json');
      const config = JSON.parse(await readFile(file, 'utf8')) as { method: object };
      await writeFile(file, JSON.stringify({ ...config, lr: 0.2, method: { ...config.method, temperature: 0.5 } }));
    });
    const refused = await detco(['train', '--resume', run]);
    expect(refused.code).toBe(2);
    expect(said(refused)).toContain(
      `${run}/config.json is not what ${join(run, 'checkpoints', 'step-4')} was made with: lr is 0.2 and was 0.1; ` +
        'method.temperature is 0.5 and was 0.1. Put back in config.json what was there, or start another run with another --out',
    );
  });

  test('auto with --out begins a run, continues it, and leaves one alone that is done: one command line for all', async () => {
    const out = join(folder, 'auto');
    const command = [...arguments_, '--out', out, '--resume', 'auto'];
    const killed = await detco(command, {
      onLine: (line) => (line === `checkpoint ${join(out, 'checkpoints', 'step-2')}` ? 'SIGKILL' : undefined),
    });
    expect(said(killed)).toContain(`run ${out}\n`);
    const resumed = await detco(command);
    expect(said(resumed)).toMatch(/continues after step [2-5]\n/);
    expect(resumed.code).toBe(0);
    await expectWhole(out);
    const again = await detco(command);
    expect([again.code, said(again).includes(`nothing to do: step ${STEPS} was the last`)]).toEqual([0, true]);
    await expectWhole(out);
  });

  test('auto by four processes at once in a new folder: one trains, the others are told which and where', async () => {
    const out = join(folder, 'at-once');
    const command = [...arguments_, '--epochs', '100000', '--out', out, '--resume', 'auto'];
    const refused: string[] = [];
    // The one that trains is stopped when the others have ended.
    const one = () =>
      detcoUntil(command, () => refused.length === 3, 'SIGINT').catch((error: unknown) => {
        refused.push(String(error));
        return undefined;
      });
    const outcomes = await Promise.all(Array.from({ length: 4 }, one));
    for (const reason of refused) expect(reason).toMatch(`"${out}" is in use: process `);
    for (const reason of refused) expect(reason).toMatch(` on ${hostname()} trains there since `);
    expect(outcomes.flatMap((outcome) => outcome?.code ?? [])).toEqual([130]);
  });

  test('auto takes the run below --out that was written to last', async () => {
    const out = join(folder, 'several');
    await mkdir(out);
    await mkdir(join(out, 'no-run'));
    const older = await stopped(join('several', 'b'));
    const newer = await stopped(join('several', 'a'));
    await writeFile(join(newer, 'metrics.jsonl'), await log(newer));
    const resumed = await detco([...arguments_, '--out', out, '--resume', 'auto']);
    expect(said(resumed)).toContain(`run ${newer} continues after step 4`);
    await expectWhole(newer);
    expect(await checkpoints(older)).not.toContain('step-6');
  });

  test('is refused while another process trains there, and told which', async () => {
    const run = join(folder, 'busy');
    let second: Promise<Outcome> | undefined;
    let ended = false;
    let told = false;
    const first = await detco([...arguments_, '--out', run, '--epochs', '200'], {
      onLine: (line) => {
        if (line.startsWith('step ')) second ??= detco(['train', '--resume', run]).finally(() => (ended = true));
        if (!ended || told) return undefined;
        told = true;
        return 'SIGINT';
      },
    });
    const refused = await second;
    expect(refused?.code).toBe(2);
    expect(refused?.stderr).toMatch(/"[^"]+busy" is in use: process \d+ on \S+ trains there since /);
    expect(said(first)).toContain('stopped after step');
    expect(await readdir(run)).not.toContain('lock');
  });

  test('is not kept from it by a process that was killed', async () => {
    const run = await stopped('left');
    await detco(['train', '--resume', run], { onLine: (line) => (line.includes('continues after') ? 'SIGKILL' : undefined) });
    expect(await readdir(run)).toContain('lock');
    expect((await detco(['train', '--resume', run])).code).toBe(0);
    await expectWhole(run);
  });
});
