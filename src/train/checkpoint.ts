/**
 * Checkpoints of a run: `checkpoints/step-N/` with a safetensors file for each section of the method and the optimizer, and `state.json`;
 * `last`, a link to the newest.
 *
 *     write checkpoints/.step-N.partial/* -> fsync -> rename to checkpoints/step-N -> rename a fresh link over `last` -> remove old ones
 *
 * Each arrow is atomic, so a kill between any two leaves complete checkpoints alone under their names.
 */
import { rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { shellWord } from '../common/shell-word.js';
import {
  CheckpointError,
  partFile,
  type PartSums,
  readState,
  STATE_FILE,
  sumFiles,
  type TrainState,
  verifyFiles,
  writeState,
} from './checkpoint-state.js';
import { codeOf, isFullDisk } from '../common/error-code.js';
import { admit, checkpointFolder, lastCheckpoint, listCheckpoints, namedCheckpoint, openPartial } from './run-checkpoints.js';
import { readSafetensors, tensorBytes, writeSafetensors, type StoredTensor, type TensorSource } from '../common/safetensors.js';

/** A checkpoint in memory. */
export interface LoadedCheckpoint {
  readonly path: string;
  readonly state: TrainState;
  /** By part: the sections of its method, and `optimizer`. */
  readonly tensors: Readonly<Record<string, ReadonlyMap<string, StoredTensor>>>;
  /** Whether its files are what their sums say; false where it was made without sums. */
  readonly verified: boolean;
}

async function fullDiskError(path: string, needed: number, run: string, cause: unknown): Promise<Error> {
  const { bavail, bsize } = await statfs(run);
  const free =
    codeOf(cause) === 'EFBIG'
      ? 'files of this size are not allowed here (ulimit -f, or the file system)'
      : `${Math.round((bavail * bsize) / 2 ** 20)} MiB are free`;
  const previous = await lastCheckpoint(run);
  const intact = previous === undefined ? 'No earlier checkpoint exists' : `The previous checkpoint, ${previous}, is intact`;
  return new Error(
    `No space left to write ${path}: it needs ${Math.ceil(needed / 2 ** 20)} MiB and ${free}. ${intact}; ` +
      `free some space and continue with --resume ${shellWord(run)}`,
    { cause },
  );
}

/** One after the other: a part may be large. */
async function eachPart<Value>(parts: readonly string[], make: (part: string) => Promise<Value>): Promise<Record<string, Value>> {
  const made: Record<string, Value> = {};
  for (const part of parts) made[part] = await make(part);
  return made;
}

/**
 * Writes a complete checkpoint and points `last` to it. Removes nothing but a checkpoint of the same step.
 *
 * @returns its path
 * @throws when the disk is full, naming the path and the previous checkpoint, which stays intact
 */
export async function saveCheckpoint(
  run: string,
  state: TrainState,
  tensors: Readonly<Record<string, ReadonlyMap<string, TensorSource>>>,
): Promise<string> {
  let partial: string | undefined;
  try {
    const folder = await openPartial(run, state.step);
    partial = folder;
    const metadata = { format: 'detco', layout: 'NHWC, filters HWIO, dense [in, out]' };
    const parts = Object.keys(tensors);
    const files: PartSums = await eachPart(parts, (part) => writeSafetensors(partFile(folder, part), tensors[part] ?? new Map(), metadata));
    await writeState(folder, state, files);
    return await admit(run, state.step, folder);
  } catch (error) {
    if (partial !== undefined) await rm(partial, { recursive: true, force: true });
    if (!isFullDisk(error)) throw error;
    const needed = Object.values(tensors).reduce((sum, part) => sum + tensorBytes(part), 0);
    throw await fullDiskError(checkpointFolder(run, state.step), needed, run, error);
  }
}

/** Replaces the state of a complete checkpoint: the tensors of a step are written once, the epoch and the evaluated step may move. */
export async function updateCheckpoint(path: string, state: TrainState): Promise<void> {
  const { parts, files } = await readState(path);
  // One of the first format may have none.
  await writeState(path, state, files ?? (await sumFiles(path, parts)));
}

async function loadFolder(path: string): Promise<LoadedCheckpoint> {
  const { state, parts, files } = await readState(path);
  if (files) await verifyFiles(path, files);
  const tensors = await eachPart(parts, (part) => readSafetensors(partFile(path, part)));
  return { path, state, tensors, verified: files !== undefined };
}

/** What to do about a checkpoint of `run` that cannot be used. */
async function soundAlternative(run: string, broken: string): Promise<string> {
  for (const { path } of await listCheckpoints(run)) {
    if (path === broken) continue;
    const loaded = await loadFolder(path).catch(() => undefined);
    if (loaded) return `${path} is sound: continue from it with npx detco train --resume ${shellWord(path)}`;
  }
  return `no other checkpoint of ${run} is sound: bring back a copy of this one, or start another run with another --out`;
}

/** Where a checkpoint lies, and the folder of its run. */
export interface CheckpointPlace {
  readonly folder: string;
  readonly run: string;
}

/**
 * @param path a run's folder, for its newest, or one checkpoint's folder
 * @returns the place of the checkpoint; undefined when there is none
 */
export async function findCheckpoint(path: string): Promise<CheckpointPlace | undefined> {
  const named = namedCheckpoint(path);
  if (named) return { folder: named.path, run: named.run };
  if (await stat(join(path, STATE_FILE)).catch(() => undefined)) return { folder: path, run: join(path, '..') };
  const folder = await lastCheckpoint(path);
  return folder === undefined ? undefined : { folder, run: path };
}

/**
 * Reads a checkpoint, and verifies it.
 *
 * @param path a run's folder, for its newest, or one checkpoint's folder
 * @throws CheckpointError when there is none, or it is incomplete, damaged or of another format: names the file, and a checkpoint of the same
 *   run that is sound
 */
export async function loadCheckpoint(path: string): Promise<LoadedCheckpoint> {
  const place = await findCheckpoint(path);
  if (!place)
    throw new CheckpointError(
      `No checkpoint in "${path}": expected a run's folder with checkpoints/step-N in it, or one such folder with a ${STATE_FILE}`,
    );
  try {
    return await loadFolder(place.folder);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${reason}; ${await soundAlternative(place.run, place.folder)}`, { cause: error });
  }
}
