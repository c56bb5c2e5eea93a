/** How far long work is, as people see it: in real processes, and in a real terminal. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { wherePythonHas } from '../support/python.js';
import { inTerminal, type Seen } from '../support/terminal.js';
import { detco } from './detco.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-progress-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('away from a terminal', () => {
  /** Lines on stderr of work that updates its display so. */
  function shown(updates: string): string[] {
    const program =
      `import { withProgress } from './dist/cli/progress.js';` +
      `await withProgress({ title: 'count', interrupted: '' }, async ({ update }) => { ${updates} }).catch(() => {});`;
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
    return stderr.split('\n').slice(0, -1);
  }

  test('work that is done within seconds tells nothing of it', () => {
    expect(shown(`update({ done: 1, total: 3, unit: 'shards' }); update({ done: 3, total: 3, unit: 'shards' });`)).toEqual([]);
  });

  test('the last state of work that fails is told', () => {
    const lines = shown(`update({ done: 1, total: 4 }); update({ done: 2, total: 4, share: 0.75 }); throw new Error();`);
    expect(lines).toEqual([expect.stringMatching(/^count 2\/4 \(75 %\) /)]);
  });

  test('work that shows nothing prints nothing', () => {
    expect(shown('')).toEqual([]);
  });
});

describe('--quiet', () => {
  test('leaves results', async () => {
    const out = join(folder, 'quiet');
    const synth = await detco(['synth', '--count', '20', '--out', out, '--quiet']);
    expect(synth).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('20 pictures in ') });
    const index = ['index', '--shards', `${out}/train-000.tar`, '--out', join(folder, 'index')];
    expect(await detco([...index, '-q'])).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('20 samples in 1 shard') });
  });

  test('leaves warnings', async () => {
    const quiet = await detco(['shard', 'fixtures/odd/files', '--out', join(folder, 'warned'), '--quiet']);
    expect(quiet).toMatchObject({ code: 0, stderr: expect.stringMatching(/^warning: 30\.0 % of the images are bad; .*\n$/) });
  });

  test('leaves errors, and nothing of a run but these', async () => {
    expect(await detco(['synth', '--count', '0', '--out', folder, '--quiet'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^detco: --count "0": /),
    });
    const shards = ['--shards', 'fixtures/shards/val-000.tar', '--preset', 'tiny', '--engine', 'wasm', '--batch', '4'];
    const run = await detco(['train', ...shards, '--steps', '1', '--out', join(folder, 'run'), '--quiet', '--json']);
    expect({ ...run, stdout: JSON.parse(run.stdout) as unknown }).toMatchObject({ code: 0, stderr: '', stdout: { step: 1 } });
  });
});

const python = wherePythonHas('pty');
python.describe(`in a terminal${python.note}`, () => {
  const command = (...args: readonly string[]): string[] => [process.execPath, 'bin/detco.cjs', ...args];

  /** The terminal is as it was: the cursor is seen, lines wrap, and it stands at the beginning of one. */
  function expectRestored({ text, lines }: Seen): void {
    expect(text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(text.lastIndexOf('\u001b[?25l'));
    expect(text.lastIndexOf('\u001b[?7h')).toBeGreaterThan(text.lastIndexOf('\u001b[?7l'));
    expect(lines.at(-1)).toBe('');
  }

  test('a bar has rate and time to go, and is gone at the end', async () => {
    const seen = await inTerminal(command('synth', '--count', '150', '--out', join(folder, 'bar')));
    expect(seen.code).toBe(0);
    expect(seen.text).toMatch(/[=-]{20} synth \d+\/150 pictures \(\d+ %\) {2}\d+(\.\d)? pictures\/s {2}ETA \d+s/);
    expect(seen.lines).toEqual([expect.stringMatching(/^150 pictures in /), '']);
    expectRestored(seen);
  });

  test.each([
    [60, /^(-+ |synth )?\d+\/1000000 pictures \(0 %\) {2}[\d.]+ pictures\/s {2}ETA \w+$/],
    [40, /^-{4,} 0 % {2}[\d.]+ pictures\/s {2}ETA \w+$/],
    [20, /^(-+ )?0 % {2}([\d.]+\/s {2})?ETA [\w?]+$/],
    [12, /^(-+ )?0 %( {2}ETA \?)?$/],
  ])('in %d columns the bar and the words make room for count, rate and time to go', async (columns, shown) => {
    // What is killed leaves its bar.
    const steps = [{ until: columns > 20 ? '/s  ETA' : '0 %', afterMs: 300, signal: 'SIGKILL' } as const];
    const synth = command('synth', '--count', '1000000', '--out', join(folder, `narrow-${columns}`));
    const { code, lines } = await inTerminal(synth, { steps, columns });
    expect(code).toBe(-constants.signals.SIGKILL);
    expect(lines).toEqual([expect.stringMatching(shown)]);
  });

  test('a bar follows the width of the terminal', async () => {
    const wide = '-------------------- synth ';
    const steps = [
      { until: wide, columns: 40 },
      { until: '- 0 %  ', columns: 120 },
      { until: wide, type: '\u0003' },
    ];
    const synth = command('synth', '--count', '1000000', '--out', join(folder, 'resized'));
    expect((await inTerminal(synth, { steps })).code).toBe(130);
  });

  test.each([
    ['Ctrl-C', { type: '\u0003' }, 130],
    ['SIGTERM', { signal: 'SIGTERM' }, 143],
  ] as const)('after %s the last state stays, whole', async (name, does, code) => {
    const steps = [{ until: 'pictures/s', ...does }];
    const seen = await inTerminal(command('synth', '--count', '20000', '--out', join(folder, name)), { steps });
    expect(seen.code).toBe(code);
    expect(seen.lines).toEqual([
      expect.stringMatching(/^synth \d+\/20000 pictures \(\d+ %\) {2}[\d.]+ pictures\/s {2}ETA \w+$/),
      'detco: interrupted; the unfinished shard was removed',
      '',
    ]);
    expectRestored(seen);
  });

  test('a run has its notes above the bar, and ends with a whole line when it is stopped', async () => {
    const run = ['--shards', 'fixtures/shards/train-000.tar', '--preset', 'tiny', '--engine', 'wasm', '--batch', '4'];
    // Not the number of a step: the bar is not drawn at each.
    const steps = [{ until: 'data wait', type: '\u0003' }];
    const seen = await inTerminal(command('train', ...run, '--out', join(folder, 'stopped')), { steps });
    expect(seen.code).toBe(130);
    expect(seen.text).toMatch(
      /[=-]{20} step \d+\/~\d+ {2}epoch 0 {2}loss [\d.]+ {2}lr [\d.]+ {2}[\d.]+ images\/s {2}data wait \d+ % {2}ETA \w+/,
    );
    expect(seen.lines).toEqual(
      expect.arrayContaining([expect.stringMatching(/^engine wasm/), expect.stringMatching(/^stopping: finishing/)]),
    );
    expect(seen.lines.slice(-2)).toEqual([expect.stringMatching(/^stopped after step \d+; continue with: /), '']);
    expect(seen.lines.filter((line) => /[=-]{20} step/.test(line))).toEqual([]);
    expectRestored(seen);
  });

  test('a second signal, which ends the command at once, leaves the terminal as it was', async () => {
    const program =
      `import { withProgress } from './dist/cli/progress.js'; setInterval(() => {}, 1000);` +
      `await withProgress({ title: 'count', interrupted: '' }, ({ update }) => { update({ done: 1, total: 4 }); return new Promise(() => {}); });`;
    const steps = [
      { until: 'count 1/4', type: '\u0003' },
      { until: '^C', type: '\u0003', afterMs: 300 },
    ];
    // npx sends a signal twice, so more time is left between two of them under npm.
    const node = ['env', '-u', 'npm_command', process.execPath, '--input-type=module', '--eval', program];
    const seen = await inTerminal(node, { steps });
    expect(seen.code).toBe(-constants.signals.SIGINT);
    expect(seen.lines).toEqual(['count 1/4 (25 %)  ETA ?', '']);
    expectRestored(seen);
  });

  test('a terminal that cannot draw a line again gets plain lines', async () => {
    const steps = [{ until: 'pictures/s', type: '\u0003' }];
    const synth = command('synth', '--count', '20000', '--out', join(folder, 'dumb'));
    const seen = await inTerminal(synth, { steps, env: { TERM: 'dumb' } });
    expect(seen.code).toBe(130);
    expect(seen.text).not.toContain('\u001b');
    // Where the machine is busy the first of them has no rate yet.
    const state = /^(\^C)?synth \d+\/20000 pictures \(\d+ %\)( {2}[\d.]+ pictures\/s)? {2}ETA [\w?]+$/;
    const states = seen.lines.filter((line) => state.test(line));
    expect(states.length).toBeGreaterThan(1);
    expect(seen.lines).toEqual([...states, 'detco: interrupted; the unfinished shard was removed', '']);
  });

  test.each<Record<string, string>>([{ NO_COLOR: '1' }, { FORCE_COLOR: '1' }])(
    'there is no colour, with %j in the environment',
    async (env) => {
      const verify = ['verify', '--no-decode', '--shards', 'fixtures/shards/val-000.tar'];
      for (const args of [verify, ['verify', '--nosuch']]) {
        const { text } = await inTerminal(command(...args), { env });
        // Select Graphic Rendition: ESC [ ... m
        expect(text.split('\u001b').filter((after) => /^\[[\d;]*m/.test(after))).toEqual([]);
      }
    },
  );
});
