import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { lastCheckpoint, loadCheckpoint, saveCheckpoint, type TrainState } from '#dist/train/checkpoint.js';
import type { TensorSource } from '#dist/train/safetensors.js';

function state(step: number): TrainState {
  return { format: 1, step, epoch: 0, pointer: 32, seed: 7, engine: 'wasm', configDigest: 'd', versions: {} };
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

  test('come back as they went, through the run or by name', async () => {
    const path = await saveCheckpoint(run, state(3), tensors(0.5), 2);
    expect(path).toBe(join(run, 'checkpoints', 'step-3'));
    for (const from of [run, path]) {
      const loaded = await loadCheckpoint(from);
      expect(loaded.state).toEqual(state(3));
      expect(loaded.tensors.queues.get('w')).toEqual({ shape: [4], data: new Float32Array(4).fill(0.5) });
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
    for (const step of [8, 9, 10, 11]) await saveCheckpoint(run, state(step), tensors(step), 2);
    expect((await readdir(join(run, 'checkpoints'))).toSorted()).toEqual(['step-10', 'step-11']);
    expect(await readlink(join(run, 'last'))).toBe(join('checkpoints', 'step-11'));
    expect((await lstat(join(run, 'last'))).isSymbolicLink()).toBe(true);
  });

  test('leave `last` alone until they are complete', async () => {
    await saveCheckpoint(run, state(1), tensors(1), 2);
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
    await expect(saveCheckpoint(run, state(2), broken, 2)).rejects.toThrow('device lost');
    expect((await loadCheckpoint(run)).state.step).toBe(1);
    expect(await readdir(join(run, 'checkpoints'))).toEqual(['step-1']);

    const killed = `${run}-killed`;
    try {
      expect(await readdir(join(killed, 'checkpoints'))).toEqual(['.step-2.partial', 'step-1']);
      expect((await loadCheckpoint(killed)).state.step).toBe(1);
      await saveCheckpoint(killed, state(2), tensors(2), 2);
      expect(await readdir(join(killed, 'checkpoints'))).toEqual(['step-1', 'step-2']);
    } finally {
      await rm(killed, { recursive: true });
    }
  });

  test('replace a complete folder that a kill left between the rename and `last`', async () => {
    await saveCheckpoint(run, state(1), tensors(1), 3);
    await saveCheckpoint(run, state(2), tensors(2), 3);
    await rm(join(run, 'last'));
    await symlink(join('checkpoints', 'step-1'), join(run, 'last'));
    await saveCheckpoint(run, state(2), tensors(5), 3);
    expect((await loadCheckpoint(run)).tensors.query.get('w')?.data[0]).toBe(5);
  });

  test('of a step that `last` names already change their state alone', async () => {
    await saveCheckpoint(run, state(1), tensors(1), 2);
    await saveCheckpoint(run, { ...state(1), epoch: 1 }, tensors(9), 2);
    const loaded = await loadCheckpoint(run);
    expect(loaded.state.epoch).toBe(1);
    expect(loaded.tensors.query.get('w')?.data[0]).toBe(1);
  });

  test('name what is missing when there is none', async () => {
    expect(await lastCheckpoint(run)).toBeUndefined();
    await expect(loadCheckpoint(run)).rejects.toThrow(`No checkpoint in "${run}"`);
  });

  test('of another format are refused', async () => {
    const path = await saveCheckpoint(run, state(1), tensors(1), 2);
    await writeFile(join(path, 'state.json'), JSON.stringify({ ...state(1), format: 99 }));
    await expect(loadCheckpoint(run)).rejects.toThrow('has format 99: this version of detco reads format 1');
  });

  testWithDisk('on a full disk fail by name and leave the previous one intact', async () => {
    const disk = join(run, 'disk');
    await mkdir(disk);
    mountSmallDisk(disk);
    try {
      const first = await saveCheckpoint(disk, state(1), tensors(1, 8000), 2);
      const failing = saveCheckpoint(disk, state(2), tensors(2, 32_000), 2);
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
