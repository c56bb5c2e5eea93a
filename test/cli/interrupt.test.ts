/** What stops `detco`, and what must not: real processes, signals, shells, pipes and npx. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, watch } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import { ENGINE_NAMES } from '#dist/engine/index.js';
import { hasTools, whereAvailable } from '../engine/available.js';
import { writeTestShards } from '../support/shards.js';
import { closingTerminal } from '../support/terminal.js';
import { detco, job, type Outcome, type Send } from './detco.js';

// Two dozen processes, each of which starts an engine.
jest.setTimeout(300_000);

const BIN = resolve('bin/detco.cjs');
/** Forty updates an epoch, each of which takes much longer than a signal. */
const CONFIG = `
preset: tiny
batch: 16
epochs: 3
method: { queueSize: 64 }
lanes: 4
shuffle: 8
`;

let folder = '';
let command: string[] = [];
const run = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-interrupt-'));
  await writeFile(join(folder, 'config.yaml'), CONFIG);
  // One update takes seconds.
  await writeFile(join(folder, 'large.yaml'), `${CONFIG.replace('batch: 16', 'batch: 64')}recipe: { globalSize: 224, patchSize: 64 }\n`);
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [160, 160, 160, 160] });
  command = ['train', '--config', join(folder, 'config.yaml'), '--shards', ...shards];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Updates that a run has logged. */
function updates(path: string): number {
  const file = join(path, 'metrics.jsonl');
  if (!existsSync(file)) return 0;
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line.includes('"loss"')).length;
}

/** A complete checkpoint of the last update that was logged. */
async function expectSaved(path: string): Promise<void> {
  const { state } = await loadCheckpoint(path);
  expect({ step: state.step, pipeline: state.pipeline?.step ?? 0 }).toEqual({ step: updates(path), pipeline: updates(path) });
}

/** Calls `then` when a checkpoint of `path` begins to be written. */
function onCheckpointBegun(path: string, then: () => void): void {
  const watcher = watch(join(path, 'checkpoints'), (_event, name) => {
    if (!name?.endsWith('.partial')) return;
    watcher.close();
    then();
  });
}

interface Interruption {
  readonly args?: readonly string[];
  /** Whether the moment has come at this line of stderr. */
  readonly at: (line: string, path: string) => boolean;
}

for (const engine of ENGINE_NAMES) {
  const where = await whereAvailable(engine);
  where.describe(`engine ${engine}${where.note}`, () => {
    const args = (path: string): string[] => [...command, '--engine', engine, '--out', path];

    /** SIGINT at that moment. @returns updates made after it */
    async function interrupt(path: string, { args: more = [], at }: Interruption): Promise<{ after: number; outcome: Outcome }> {
      let before = -1;
      const outcome = await detco([...args(path), ...more], {
        onLine: (line) => {
          if (before >= 0 || !at(line, path)) return undefined;
          before = updates(path);
          return 'SIGINT';
        },
      });
      expect({ code: outcome.code, stderr: outcome.stderr }).toMatchObject({
        code: 130,
        stderr: expect.stringContaining(`stopped after step ${updates(path)}; continue with: npx detco train --resume ${path}`),
      });
      await expectSaved(path);
      return { after: updates(path) - before, outcome };
    }

    test('in the midst of a long epoch, it makes one more update at most', async () => {
      const { after } = await interrupt(run(`${engine}-update`), { at: (line) => /^step 1[ /]/.test(line) });
      expect(after).toBeLessThanOrEqual(1);
    });

    test('in the first update, it finishes that', async () => {
      const path = run(`${engine}-first`);
      await interrupt(path, { at: (line) => line === `checkpoint ${join(path, 'checkpoints', 'step-0')}` });
      expect(updates(path)).toBeLessThanOrEqual(1);
    });

    test('in an evaluation, it leaves that, and makes no update', async () => {
      const path = run(`${engine}-evaluation`);
      const { after } = await interrupt(path, {
        args: ['--val-shards', join(folder, 'shards', 'shard-000.tar')],
        at: (line) => line === `run ${path}`,
      });
      expect(after).toBe(0);
      expect((await loadCheckpoint(path)).state.evaluatedStep).toBeUndefined();
    });

    test('in the midst of a checkpoint, it completes that, and makes one more update at most', async () => {
      const path = run(`${engine}-checkpoint`);
      let before = 0;
      const { code } = await job([process.execPath, BIN, ...args(path), '--checkpoint-every', '2'], {
        onLine: (line, send) => {
          if (!line.endsWith('step-0')) return;
          onCheckpointBegun(path, () => {
            before = updates(path);
            send('SIGINT');
          });
        },
      });
      expect(code).toBe(130);
      expect(updates(path) - before).toBeLessThanOrEqual(1);
      await expectSaved(path);
    });

    test('a second signal ends it at once, while the first update of a large network computes', async () => {
      const path = run(`${engine}-large`);
      let timer: NodeJS.Timeout | undefined;
      const { code, signal, stderr } = await job([process.execPath, BIN, ...args(path), '--config', join(folder, 'large.yaml')], {
        onLine: (line, send) => {
          // Again and again: those of the first second are one wish.
          if (line.endsWith('step-0')) timer = setInterval(send, 100, 'SIGINT');
        },
      }).finally(() => clearInterval(timer));
      expect({ code, signal }).toEqual({ code: null, signal: 'SIGINT' });
      expect(stderr).toContain('stopping: finishing the update');
      expect(updates(path)).toBe(0);
      await expectSaved(path);
    });
  });
}

const quoted = (...words: readonly string[]): string => words.map((word) => `'${word}'`).join(' ');

/** Sends the signal once, when the first update is done. */
const afterFirst =
  (signal: NodeJS.Signals, to?: 'process' | 'group') =>
  (line: string, send: Send): void => {
    if (line.startsWith('step 1 ') || line.startsWith('step 1/')) send(signal, to);
  };

describe('exit codes', () => {
  const codes: [NodeJS.Signals, number][] = [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ];

  test.each(codes)('%s saves a run and ends it with %i', async (signal, expected) => {
    const path = run(signal);
    const { code } = await job([process.execPath, BIN, ...command, '--out', path], { onLine: afterFirst(signal) });
    expect(code).toBe(expected);
    await expectSaved(path);
  });

  test.each(codes)('%s ends other commands with %i', async (signal, expected) => {
    const args = ['synth', '--out', run(`synth-${signal}`), '--count', '100000'];
    let sent = false;
    const { code, stderr } = await job([process.execPath, BIN, ...args], {
      onLine: (_line, send) => {
        if (!sent) send(signal);
        sent = true;
      },
    });
    expect({ code, stderr }).toMatchObject({ code: expected, stderr: expect.stringContaining('detco: interrupted') });
  });
});

/** A process of its own numbering: the first in it gets no signal that it does not listen to, not even from itself. */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc'];

function mayContain(): boolean {
  const [file = '', ...args] = CONTAINER;
  return spawnSync(file, [...args, 'true']).status === 0;
}

(mayContain() ? test : test.skip)('a second signal ends the first process of a container, too', async () => {
  const path = run('container');
  let timer: NodeJS.Timeout | undefined;
  const { stderr } = await job([...CONTAINER, process.execPath, BIN, ...command, '--config', join(folder, 'large.yaml'), '--out', path], {
    onLine: (line, send) => {
      if (line.endsWith('step-0')) timer = setInterval(send, 100, 'SIGINT', 'group');
    },
  }).finally(() => clearInterval(timer));
  expect(stderr).toContain('stopping: finishing the update');
  expect(updates(path)).toBe(0);
  await expectSaved(path);
});

test('SIGUSR1 writes a checkpoint, goes on, and opens no inspector, from the start on', async () => {
  const path = run('usr1');
  const { code, stderr } = await detco([...command, '--steps', '9', '--out', path], {
    onLine: (line) => (line.startsWith('engine') || line.endsWith('step-1') ? 'SIGUSR1' : undefined),
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('Debugger') });
  const saved = [...stderr.matchAll(/^checkpoint .*step-(\d+)$/gm)].map(([, step]) => Number(step));
  // One was asked for before the first update, one after it.
  expect(saved).toEqual([0, 1, expect.any(Number), 9]);
  expect(updates(path)).toBe(9);
});

describe('output that nobody reads any more', () => {
  test('does not end a run, or change its exit code', async () => {
    const path = run('head');
    const line = quoted(process.execPath, BIN, ...command, '--steps', '4', '--checkpoint-every', '1', '--json', '--out', path);
    const { stdout } = await job(['bash', '-c', `${line} 2>&1 | head -2 >&2; echo "\${PIPESTATUS[0]}"`]);
    expect(stdout).toBe('0\n');
    expect(updates(path)).toBe(4);
    await expectSaved(path);
  });

  test('is no reason to lose the checkpoint when Ctrl-C ends its reader, too', async () => {
    const path = run('tee');
    const line = quoted(process.execPath, BIN, ...command, '--out', path);
    // The shell outlives the signal to its group, to tell how the others ended.
    const script = `trap : INT; ${line} 2>&1 | tee '${path}.log' >&2; echo "\${PIPESTATUS[*]}"`;
    const { stdout } = await job(['bash', '-c', script], { onLine: afterFirst('SIGINT', 'group') });
    expect(stdout).toBe('130 130\n');
    await expectSaved(path);
  });

  test('ends other commands by what they found', async () => {
    const { stdout } = await job(['bash', '-c', `${quoted(process.execPath, BIN, '--help')} | true; echo "\${PIPESTATUS[0]}"`]);
    expect(stdout).toBe('0\n');
  });
});

describe('a terminal that closes', () => {
  const withTerminal = hasTools('script', 'nohup') ? test : test.skip;

  withTerminal('ends a run as SIGTERM does, with a checkpoint', async () => {
    const path = run('closed');
    expect(await closingTerminal(path, quoted(process.execPath, BIN, ...command, '--out', path))).toBe('129');
    expect(updates(path)).toBeLessThanOrEqual(1);
    await expectSaved(path);
  });

  withTerminal('changes nothing for a run that is sent no signal', async () => {
    const path = run('disowned');
    expect(await closingTerminal(path, quoted(process.execPath, BIN, ...command, '--steps', '4', '--out', path), "trap '' HUP")).toBe('0');
    expect(updates(path)).toBe(4);
  });

  withTerminal('does not end a run under nohup', async () => {
    const path = run('nohup');
    const line = quoted('nohup', process.execPath, BIN, ...command, '--steps', '4', '--out', path);
    expect(await closingTerminal(path, `${line} > '${path}.log' 2>&1`)).toBe('0');
    expect(updates(path)).toBe(4);
  });

  test('does not end a run that bash started under nohup without a terminal', async () => {
    const path = run('nohup-bash');
    // Bash makes way for nohup, and that for Node: one process.
    const { code } = await job(['bash', '-c', 'nohup "$0" "$@"', process.execPath, BIN, ...command, '--steps', '4', '--out', path], {
      onLine: afterFirst('SIGHUP'),
    });
    expect({ code, updates: updates(path) }).toEqual({ code: 0, updates: 4 });
  });
});

describe('npx in between', () => {
  const cwd = (): string => join(folder, 'project');
  const npx = (path: string, shell: string): string[] => ['npx', '--offline', '--script-shell', shell, 'detco', ...command, '--out', path];

  beforeAll(async () => {
    await mkdir(join(cwd(), 'node_modules', '.bin'), { recursive: true });
    await writeFile(join(cwd(), 'package.json'), '{ "name": "project", "version": "1.0.0", "private": true }');
    await symlink(BIN, join(cwd(), 'node_modules', '.bin', 'detco'));
  });

  // The outcome comes when nobody holds the output any more, the run included: npx itself may have ended before it.
  // Bash makes way for the run, which then gets what npx sends on; other shells stay, and keep it to themselves.
  test.each<[NodeJS.Signals, 'process' | 'group', string]>([
    ['SIGINT', 'group', 'bash'],
    ['SIGINT', 'group', 'sh'],
    ['SIGTERM', 'process', 'bash'],
    ['SIGTERM', 'process', 'sh'],
    ['SIGHUP', 'process', 'sh'],
  ])('%s to its %s, by %s: the run saves and ends', async (signal, to, shell) => {
    const path = run(`npx-${signal}-${shell}`);
    const { stderr } = await job(npx(path, shell), { cwd: cwd(), onLine: afterFirst(signal, to) });
    expect(stderr).toContain(`stopped after step ${updates(path)}; continue with`);
    await expectSaved(path);
  });

  // The parents of a process are known from files of /proc.
  test('a process that may open no more files is not taken for one whose parents have died', async () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { interruptible } from ${JSON.stringify(resolve('dist/cli/interrupt.js'))};
      const opened = [];
      await interruptible('interrupted', (signal) => new Promise((done) => {
        try {
          for (;;) opened.push(openSync('/dev/null'));
        } catch {
          // Three of the times at which the parents are looked for.
          setTimeout(() => { opened.forEach(closeSync); done(); process.stdout.write(String(signal.aborted)); }, 800);
        }
      }));`;
    const limited = 'ulimit -n 64 && npm_command=exec exec "$0" --input-type=module -e "$1"';
    const { stdout } = await job(['sh', '-c', limited, process.execPath, script]);
    expect(stdout).toBe('false');
  });
});
