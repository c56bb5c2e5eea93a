import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { loadCheckpoint, saveCheckpoint, updateCheckpoint } from '#dist/train/checkpoint.js';
import type { TrainState } from '#dist/train/checkpoint-state.js';
import { lastCheckpoint, lastProblem, listCheckpoints, prune } from '#dist/train/run-checkpoints.js';
import type { TensorSource } from '#dist/common/safetensors.js';

function state(step: number): TrainState {
  const pipeline = { epoch: 0, step, epochStart: 0, lanes: [{ taken: 2 * step, good: 2 * step }] };
  const method = { name: 'detco', host: { pointer: 32 }, encoders: { query: 'query', key: 'key' } };
  const rest = { format: 2, step, epoch: 0, method, seed: 7, engine: 'wasm', configDigest: 'd', versions: {} } as const;
  return { ...rest, ...(step > 0 && { pipeline }) };
}

/** The same as detco 0.1 wrote it, without the sums of its files. */
function withoutSums(stored: Record<string, unknown>): Record<string, unknown> {
  const { sha256: _sum, files: _files, method: _method, ...rest } = stored;
  return { ...rest, format: 1, pointer: 32 };
}

function tensors(value: number, elements = 4) {
  const source: TensorSource = { shape: [elements], data: async () => new Float32Array(elements).fill(value) };
  const part = new Map([['w', source]]);
  return { query: part, key: part, optimizer: part, queues: part };
}

/** Mounts a file system of 256 KiB, for a disk that is really full. */
function mountSmallDisk(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', path], { stdio: 'ignore' });
}

function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'detco-mount-'));
  try {
    mountSmallDisk(path);
    execFileSync('umount', [path]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}

// Mounting needs root; without it the test is reported as skipped.
const testWithDisk = mayMount() ? test : test.skip;

describe('checkpoints', () => {
  let run = '';
  beforeEach(async () => {
    run = await mkdtemp(join(tmpdir(), 'detco-run-'));
  });
  afterEach(() => rm(run, { recursive: true, force: true }));

  const steps = async () => (await readdir(join(run, 'checkpoints'))).toSorted();
  const save = async (folder: string, step: number, keep = 2, since = step - 1) => {
    await saveCheckpoint(folder, state(step), tensors(step));
    await prune(folder, { newest: step, since, keep });
  };

  test('come back as they went, through the run or by name', async () => {
    const path = await saveCheckpoint(run, state(3), tensors(0.5));
    expect(path).toBe(join(run, 'checkpoints', 'step-3'));
    for (const from of [run, path]) {
      const loaded = await loadCheckpoint(from);
      expect(loaded.state).toEqual(state(3));
      expect(loaded.tensors['queues']?.get('w')).toEqual({ shape: [4], data: new Float32Array(4).fill(0.5) });
    }
    expect((await readdir(path)).toSorted()).toEqual([
      'key.safetensors',
      'optimizer.safetensors',
      'query.safetensors',
      'queues.safetensors',
      'state.json',
    ]);
  });

  test('are kept up to the newest few, by number and not by name', async () => {
    for (const step of [8, 9, 10, 11]) await save(run, step);
    expect(await steps()).toEqual(['step-10', 'step-11']);
    expect(await readlink(join(run, 'last'))).toBe(join('checkpoints', 'step-11'));
    expect((await lstat(join(run, 'last'))).isSymbolicLink()).toBe(true);
  });

  test('that go leave behind what evaluations found of them', async () => {
    for (const step of [8, 9]) {
      await save(run, step);
      await writeFile(join(run, 'checkpoints', `step-${step}`, 'eval.json'), `{ "of": ${step} }`);
    }
    await saveCheckpoint(run, state(9), tensors(9));
    await save(run, 10);
    expect(await steps()).toEqual(['step-10', 'step-9']);
    expect(await readdir(join(run, 'evaluations'))).toEqual(['step-8.json', 'step-9.json']);
    expect(await readFile(join(run, 'evaluations', 'step-8.json'), 'utf8')).toBe('{ "of": 8 }');
  });

  test('after the one that a run went back to stay until the next is complete', async () => {
    for (const step of [4, 8, 12]) await save(run, step, 9);
    await saveCheckpoint(run, state(6), tensors(6));
    expect(await steps()).toEqual(['step-12', 'step-4', 'step-6', 'step-8']);
    await prune(run, { newest: 6, since: 4, keep: 9 });
    expect(await steps()).toEqual(['step-4', 'step-6']);
    expect((await loadCheckpoint(run)).state.step).toBe(6);
  });

  test('of the run that went back are kept, and those that it left behind are not, before or after its next one', async () => {
    for (const step of [4, 8, 12]) await save(run, step, 9);
    // From step 4 on, past the ones that were left behind.
    await save(run, 16, 2, 4);
    expect(await steps()).toEqual(['step-16', 'step-4']);
    await save(run, 20, 3, 16);
    expect(await steps()).toEqual(['step-16', 'step-20', 'step-4']);
  });

  test('leave `last` alone until they are complete', async () => {
    await saveCheckpoint(run, state(1), tensors(1));
    const broken = tensors(2);
    broken.queues = new Map([
      [
        'w',
        {
          shape: [4],
          data: async () => {
            // What a kill at this instant leaves behind is what the disk holds here.
            await cp(run, `${run}-killed`, { recursive: true, verbatimSymlinks: true });
            throw new Error('device lost');
          },
        },
      ],
    ]);
    await expect(saveCheckpoint(run, state(2), broken)).rejects.toThrow('device lost');
    expect((await loadCheckpoint(run)).state.step).toBe(1);
    expect(await readdir(join(run, 'checkpoints'))).toEqual(['step-1']);

    const killed = `${run}-killed`;
    try {
      expect(await readdir(join(killed, 'checkpoints'))).toEqual(['.step-2.partial', 'step-1']);
      expect((await loadCheckpoint(killed)).state.step).toBe(1);
      await saveCheckpoint(killed, state(2), tensors(2));
      expect(await readdir(join(killed, 'checkpoints'))).toEqual(['step-1', 'step-2']);
    } finally {
      await rm(killed, { recursive: true });
    }
  });

  test('made anew by a run that went back replace the old ones', async () => {
    await saveCheckpoint(run, state(1), tensors(1));
    await saveCheckpoint(run, state(2), tensors(2));
    await saveCheckpoint(run, state(2), tensors(5));
    expect((await loadCheckpoint(run)).tensors['query']?.get('w')?.data[0]).toBe(5);
    await prune(run, { newest: 2, since: 1, keep: 2 });
    expect(await readdir(join(run, 'checkpoints'))).toEqual(['step-1', 'step-2']);
  });

  test('change their state alone when epoch or evaluation move on', async () => {
    const path = await saveCheckpoint(run, state(1), tensors(1));
    await updateCheckpoint(path, { ...state(1), epoch: 1 });
    const loaded = await loadCheckpoint(run);
    expect([loaded.state.epoch, loaded.verified]).toEqual([1, true]);
    expect(loaded.tensors['query']?.get('w')?.data[0]).toBe(1);
  });

  describe('without the link `last` to the newest', () => {
    const copied = (step: number) => cp(join(run, 'checkpoints', `step-${step}`), join(run, 'last'), { recursive: true });
    const cases: [string, () => Promise<unknown>, string][] = [
      ['dropped', async () => undefined, 'is missing'],
      ['dangling', () => symlink(join('checkpoints', 'step-99'), join(run, 'last')), 'step-99, which is not there'],
      ['a folder', () => copied(2), 'is no link'],
      ['a file', () => writeFile(join(run, 'last'), 'checkpoints/step-2'), 'is no link'],
      ['of an older one', () => symlink(join('checkpoints', 'step-1'), join(run, 'last')), 'step-1, which is not the newest'],
    ];
    test.each(cases)('(%s) they are found by their folders, and the next one mends it', async (_what, make, problem) => {
      for (const step of [1, 2]) await save(run, step);
      await rm(join(run, 'last'));
      await make();
      const newest = join(run, 'checkpoints', 'step-2');
      expect(await lastCheckpoint(run)).toBe(newest);
      expect(await lastProblem(run, newest)).toContain(problem);
      expect((await loadCheckpoint(run)).state.step).toBe(2);
      const next = await saveCheckpoint(run, state(3), tensors(3));
      expect(await lastProblem(run, next)).toBeUndefined();
      expect(await steps()).toEqual(['step-1', 'step-2', 'step-3']);
    });

    test('a copy that a link became is a checkpoint when it is the only one of its step', async () => {
      await save(run, 2);
      await rm(join(run, 'last'));
      await copied(2);
      await rm(join(run, 'checkpoints'), { recursive: true });
      expect((await loadCheckpoint(run)).state.step).toBe(2);
      await save(run, 3);
      expect((await listCheckpoints(run)).map(({ step }) => step)).toEqual([3, 2]);
      expect((await loadCheckpoint(join(run, 'checkpoints', 'step-2'))).state.step).toBe(2);
    });
  });

  test('damaged in the folder that a copy made of `last` name the sound one before', async () => {
    for (const step of [1, 2]) await save(run, step);
    await rm(join(run, 'last'));
    await rename(join(run, 'checkpoints', 'step-2'), join(run, 'last'));
    await truncate(join(run, 'last', 'key.safetensors'), 8);
    const sound = join(run, 'checkpoints', 'step-1');
    const newest = await lastCheckpoint(run);
    expect(newest).toBe(join(run, 'last'));
    await expect(loadCheckpoint(newest ?? '')).rejects.toThrow(
      `${sound} is sound: continue from it with npx detco train --resume ${sound}`,
    );
  });

  test.each(['query.safetensors', 'key.safetensors', 'optimizer.safetensors', 'queues.safetensors', 'state.json'])(
    'with a bit of %s flipped are refused, naming the file and the sound one before',
    async (name) => {
      for (const step of [1, 2, 3]) await save(run, step, 9);
      const file = join(run, 'checkpoints', 'step-3', name);
      const bytes = await readFile(file);
      // Of a digit in state.json, which leaves it JSON.
      const at = name === 'state.json' ? bytes.indexOf('"taken": 6') + 9 : bytes.length - 3;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await writeFile(file, bytes);
      await writeFile(join(run, 'checkpoints', 'step-2', 'key.safetensors'), '');
      const sound = join(run, 'checkpoints', 'step-1');
      const loading = loadCheckpoint(run);
      await expect(loading).rejects.toThrow(`${file} is damaged`);
      await expect(loading).rejects.toThrow(`${sound} is sound: continue from it with npx detco train --resume ${sound}`);
      expect((await loadCheckpoint(sound)).state.step).toBe(1);
    },
  );

  test.each<[string, (stored: Record<string, unknown>) => unknown, string]>([
    ['no pipeline', ({ pipeline: _pipeline, ...rest }) => rest, 'pipeline: expected where the data stand after step 2'],
    ['a negative step', (stored) => ({ ...stored, step: -1 }), 'step -1: '],
    ['a huge step', (stored) => ({ ...stored, step: 1e300 }), 'step 1e+300: '],
    ['half a step', (stored) => ({ ...stored, step: 2.5 }), 'step 2.5: '],
    ['the data of another step', (stored) => ({ ...stored, step: 3 }), 'expected the state after step 3'],
    ['an option it does not know', (stored) => ({ ...stored, steps: 3 }), 'Unrecognized key: "steps"'],
    ['no object in it', () => [], 'state.json is damaged'],
  ])('whose state.json has %s are refused, sums or not', async (_what, change, message) => {
    const path = await saveCheckpoint(run, state(2), tensors(2));
    const file = join(path, 'state.json');
    const stored = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    for (const one of [stored, withoutSums(stored)]) {
      await writeFile(file, JSON.stringify(change(one)));
      await expect(loadCheckpoint(run)).rejects.toThrow(message);
      await expect(loadCheckpoint(run)).rejects.toThrow(`${file} is damaged`);
    }
  });

  test('that were cut short name the file', async () => {
    const path = await saveCheckpoint(run, state(2), tensors(2));
    const cut = async (name: string) => truncate(join(path, name), (await stat(join(path, name))).size - 5);
    await cut('queues.safetensors');
    await expect(loadCheckpoint(run)).rejects.toThrow(/queues\.safetensors is damaged: it has \d+ bytes, \d+ were written/);
    await cut('state.json');
    await expect(loadCheckpoint(run)).rejects.toThrow(`${join(path, 'state.json')} is damaged`);
    await rm(join(path, 'state.json'));
    await expect(loadCheckpoint(path)).rejects.toThrow(`${join(path, 'state.json')} is missing`);
  });

  test('made without sums are read, and said not to be verified', async () => {
    const path = await saveCheckpoint(run, state(2), tensors(2));
    await writeFile(join(path, 'state.json'), JSON.stringify(withoutSums({ ...state(2) })));
    const { verified, tensors: read } = await loadCheckpoint(run);
    expect([verified, read['key']?.get('w')?.data[0]]).toEqual([false, 2]);
    await truncate(join(path, 'key.safetensors'), 100);
    await expect(loadCheckpoint(run)).rejects.toThrow(join(path, 'key.safetensors'));
  });

  test('made without sums have them once their state is written again', async () => {
    const path = await saveCheckpoint(run, state(2), tensors(2));
    await writeFile(join(path, 'state.json'), JSON.stringify(withoutSums({ ...state(2) })));
    await updateCheckpoint(path, { ...state(2), evaluatedStep: 2 });
    expect(await loadCheckpoint(run)).toMatchObject({ verified: true, state: { format: 2, evaluatedStep: 2 } });
  });

  test('name what is missing when there is none', async () => {
    expect(await lastCheckpoint(run)).toBeUndefined();
    await expect(loadCheckpoint(run)).rejects.toThrow(`No checkpoint in "${run}"`);
  });

  test('of another format are refused', async () => {
    const path = await saveCheckpoint(run, state(1), tensors(1));
    await writeFile(join(path, 'state.json'), JSON.stringify({ ...state(1), format: 99 }));
    await expect(loadCheckpoint(run)).rejects.toThrow('has format 99: this version of detco reads formats up to 2');
  });

  testWithDisk('on a full disk fail by name and leave the previous one intact', async () => {
    const disk = join(run, 'disk');
    await mkdir(disk);
    mountSmallDisk(disk);
    try {
      const first = await saveCheckpoint(disk, state(1), tensors(1, 8000));
      const failing = saveCheckpoint(disk, state(2), tensors(2, 32_000));
      await expect(failing).rejects.toThrow(`No space left to write ${join(disk, 'checkpoints', 'step-2')}`);
      await expect(failing).rejects.toThrow(`The previous checkpoint, ${first}, is intact`);
      expect((await loadCheckpoint(disk)).state.step).toBe(1);
      expect(await readdir(join(disk, 'checkpoints'))).toEqual(['step-1']);
      expect(await readFile(join(first, 'state.json'), 'utf8')).toContain('"step": 1');
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});
