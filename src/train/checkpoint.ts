/**
 * Checkpoints of a run: `checkpoints/step-N/{query,key,optimizer,queues}.safetensors` and `state.json`, and `last`, a link to the newest.
 *
 *     write checkpoints/.step-N.partial/* -> fsync -> rename to checkpoints/step-N -> rename a fresh link over `last` -> remove old ones
 *
 * Each arrow is atomic, so a kill between any two leaves `last` on a complete checkpoint.
 */
import { mkdir, open, readdir, readFile, readlink, rename, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PipelineState } from '../pipeline/batch/batch.js';
import { errorCode, isFullDisk } from './error-code.js';
import { readSafetensors, tensorBytes, writeSafetensors, type StoredTensor, type TensorSource } from './safetensors.js';

/** The files of a checkpoint: both encoders with their BN buffers, the SGD velocities, and the negatives. */
export const CHECKPOINT_PARTS = ['query', 'key', 'optimizer', 'queues'] as const;
export type CheckpointPart = (typeof CHECKPOINT_PARTS)[number];

/** Version of `state.json` and of the tensors' names and layouts. */
export const CHECKPOINT_FORMAT = 1;

/** `state.json`: everything a run needs to continue that is not a tensor. */
export interface TrainState {
  readonly format: typeof CHECKPOINT_FORMAT;
  /** Updates done. */
  readonly step: number;
  /** The epoch whose end comes next, from 0. */
  readonly epoch: number;
  /** The last step whose state was evaluated; absent before the first evaluation. */
  readonly evaluatedStep?: number;
  /** Absent before the first batch. */
  readonly pipeline?: PipelineState;
  /** Row of the queues that the next keys go to. */
  readonly pointer: number;
  /** Seeds the plan, the views, the weights and the ShuffleBN permutations; the last are keyed by (seed, step). */
  readonly seed: number;
  readonly engine: string;
  /** Digest of every option that the loss sequence depends on. */
  readonly configDigest: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface LoadedCheckpoint {
  readonly path: string;
  readonly state: TrainState;
  readonly tensors: Readonly<Record<CheckpointPart, Map<string, StoredTensor>>>;
}

const LAST = 'last';
const STEP_FOLDER = /^step-(\d+)$/;
const PARTIAL_FOLDER = /^\.step-\d+\.partial$/;
/** Makes renames in a folder durable. Windows cannot open folders, and does not need it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The checkpoint that `last` names, or undefined when none was ever completed. */
export async function lastCheckpoint(run: string): Promise<string | undefined> {
  try {
    return join(run, await readlink(join(run, LAST)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function fullDiskError(path: string, needed: number, run: string, cause: unknown): Promise<Error> {
  const { bavail, bsize } = await statfs(run);
  const free = Math.round((bavail * bsize) / 2 ** 20);
  const previous = await lastCheckpoint(run);
  const intact = previous === undefined ? 'No earlier checkpoint exists' : `The previous checkpoint, ${previous}, is intact`;
  return new Error(
    `No space left to write ${path}: it needs ${Math.ceil(needed / 2 ** 20)} MiB and ${free} MiB are free. ${intact}; ` +
      `free some space and continue with --resume ${run}`,
    { cause },
  );
}

/**
 * Writes a complete checkpoint, points `last` to it and removes all but the newest `keep`.
 *
 * @returns its path
 * @throws when the disk is full, naming the path and the previous checkpoint, which stays intact
 */
export async function saveCheckpoint(
  run: string,
  state: TrainState,
  tensors: Readonly<Record<CheckpointPart, ReadonlyMap<string, TensorSource>>>,
  keep: number,
): Promise<string> {
  const root = join(run, 'checkpoints');
  const name = `step-${state.step}`;
  const target = join(root, name);
  if ((await lastCheckpoint(run)) === target) {
    // The tensors of a step are written once; what may have moved is the epoch, and whether it was evaluated.
    await replaceFile(join(target, 'state.json'), state);
    return target;
  }

  const partial = join(root, `.${name}.partial`);
  try {
    await mkdir(root, { recursive: true });
    for (const entry of await readdir(root)) if (PARTIAL_FOLDER.test(entry)) await rm(join(root, entry), { recursive: true });
    await mkdir(partial);
    const metadata = { format: 'detco', layout: 'NHWC, filters HWIO, dense [in, out]' };
    for (const part of CHECKPOINT_PARTS) await writeSafetensors(join(partial, `${part}.safetensors`), tensors[part], metadata);
    await replaceFile(join(partial, 'state.json'), state);
    await syncFolder(partial);
    // A complete folder of this name that `last` does not name: a kill came between the two renames.
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
    await syncFolder(root);
    await pointLast(run, join('checkpoints', name));
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!isFullDisk(error)) throw error;
    const needed = CHECKPOINT_PARTS.reduce((sum, part) => sum + tensorBytes(tensors[part]), 0);
    throw await fullDiskError(target, needed, run, error);
  }
  await prune(root, name, keep);
  return target;
}

/** Writes JSON so that a reader finds the old file or the new one, never a part. */
export async function replaceFile(path: string, value: unknown): Promise<void> {
  const partial = `${path}.partial`;
  await writeFile(partial, `${JSON.stringify(value, undefined, 2)}\n`, { flush: true });
  await rename(partial, path);
}

async function pointLast(run: string, target: string): Promise<void> {
  const fresh = join(run, `.${LAST}.partial`);
  await rm(fresh, { force: true });
  await symlink(target, fresh, 'dir');
  await rename(fresh, join(run, LAST));
  await syncFolder(run);
}

/** Keeps the newest `keep` checkpoints, counting `newest`. */
async function prune(root: string, newest: string, keep: number): Promise<void> {
  const steps = (await readdir(root)).flatMap((entry) => STEP_FOLDER.exec(entry)?.[1] ?? []).map(Number);
  const others = steps.toSorted((a, b) => b - a).filter((step) => `step-${step}` !== newest);
  for (const step of others.slice(Math.max(keep, 1) - 1)) await rm(join(root, `step-${step}`), { recursive: true, force: true });
}

/**
 * Reads a checkpoint.
 *
 * @param path a run's folder (its `last`), or one checkpoint's folder
 * @throws when there is none, or it is incomplete or of another format
 */
export async function loadCheckpoint(path: string): Promise<LoadedCheckpoint> {
  const folder = (await stat(join(path, 'state.json')).catch(() => undefined)) === undefined ? await lastCheckpoint(path) : path;
  if (folder === undefined)
    throw new Error(
      `No checkpoint in "${path}": expected a run's folder with a link "${LAST}", or a checkpoint's folder with a state.json`,
    );
  const state = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as TrainState;
  if (state.format !== CHECKPOINT_FORMAT)
    throw new Error(`${join(folder, 'state.json')} has format ${state.format}: this version of detco reads format ${CHECKPOINT_FORMAT}`);
  const [query, key, optimizer, queues] = await Promise.all(
    CHECKPOINT_PARTS.map((part) => readSafetensors(join(folder, `${part}.safetensors`))),
  );
  if (!query || !key || !optimizer || !queues) throw new Error(`${folder} is incomplete`);
  return { path: folder, state, tensors: { query, key, optimizer, queues } };
}
