/**
 * The checkpoints of a run: which there are, which is the newest, which are removed.
 *
 * What counts are the folders `checkpoints/step-N` that hold a state.json. `last`, a link to the newest, is for people and other programs:
 * copies drop it, or make a folder or a text file of it.
 */
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readState, STATE_FILE } from './checkpoint-state.js';
import { codeOf, isFullDisk } from '../common/error-code.js';
import { RunDirectoryError } from './run-directory-error.js';

const ROOT = 'checkpoints';
const LAST = 'last';
/** What `detco eval` found, beside the weights. */
export const EVALUATION_FILE = 'eval.json';
/** The same of checkpoints that are gone. */
const EVALUATIONS = 'evaluations';
const STEP_FOLDER = /^step-(0|[1-9]\d{0,14})$/;
/** A checkpoint on its way in or out. */
const PASSING_FOLDER = /^\.step-\d+\.(partial|removed)$/;

export interface FoundCheckpoint {
  readonly path: string;
  readonly step: number;
}

/** Folder of the checkpoint of a step. */
export function checkpointFolder(run: string, step: number): string {
  return join(run, ROOT, `step-${step}`);
}

/** What `path` names when it ends in `checkpoints/step-N`: the run, and the checkpoint as `listCheckpoints` gives it. */
export function namedCheckpoint(path: string): (FoundCheckpoint & { readonly run: string }) | undefined {
  const full = resolve(path);
  const [, digits] = STEP_FOLDER.exec(basename(full)) ?? [];
  if (digits === undefined || basename(dirname(full)) !== ROOT) return undefined;
  const run = join(path, '..', '..');
  const step = Number(digits);
  return { run, step, path: checkpointFolder(run, step) };
}

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

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    if (codeOf(error) === 'ENOTDIR')
      throw new RunDirectoryError(`"${folder}" is a file: expected the folder of a run's checkpoints; move it away`, { cause: error });
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Folders `step-N`, whole or not, newest first. */
async function stepFolders(run: string): Promise<FoundCheckpoint[]> {
  const names = await namesIn(join(run, ROOT));
  const steps = names.flatMap((name) => STEP_FOLDER.exec(name)?.[1] ?? []).map(Number);
  return steps.toSorted((a, b) => b - a).map((step) => ({ path: checkpointFolder(run, step), step }));
}

/** The checkpoint that a copy made of the link `last`, when it is the only one of its step. */
async function copiedLast(run: string): Promise<FoundCheckpoint | undefined> {
  const path = join(run, LAST);
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isDirectory()) return undefined;
  const step = await readState(path).then(
    ({ state }) => state.step,
    () => undefined,
  );
  return step === undefined || (await exists(join(checkpointFolder(run, step), STATE_FILE))) ? undefined : { path, step };
}

/** The checkpoints of a run, newest first. None is verified. */
export async function listCheckpoints(run: string): Promise<FoundCheckpoint[]> {
  const whole: FoundCheckpoint[] = [];
  for (const found of await stepFolders(run)) if (await exists(join(found.path, STATE_FILE))) whole.push(found);
  const copied = await copiedLast(run);
  return copied ? [...whole, copied].toSorted((a, b) => b.step - a.step) : whole;
}

/** The newest checkpoint of a run, or undefined when none was ever completed. */
export async function lastCheckpoint(run: string): Promise<string | undefined> {
  return (await listCheckpoints(run))[0]?.path;
}

/** Folders named as checkpoints that are none: a copy that was cut short leaves them. */
export async function incompleteFolders(run: string): Promise<FoundCheckpoint[]> {
  const whole = new Set((await listCheckpoints(run)).map(({ step }) => step));
  return (await stepFolders(run)).filter(({ step }) => !whole.has(step));
}

/** What there is to say, in words, of the folders of steps after `step` that are no checkpoints: who takes the one of `step` passes them over. */
export async function passedOver(run: string, step: number): Promise<string[]> {
  const later = (await incompleteFolders(run)).filter((found) => found.step > step);
  return later.map(({ path }) => `${path} has no ${STATE_FILE} and was passed over: it is no complete checkpoint`);
}

/** What there is to say of `last` when it does not name `newest`. */
export async function lastProblem(run: string, newest: string): Promise<string | undefined> {
  const link = join(run, LAST);
  if (link === newest) return `${link} is a folder and no link, as some copies leave it`;
  try {
    const target = resolve(run, await readlink(link));
    if (target === resolve(newest)) return undefined;
    return (await exists(target)) ? `${link} names ${target}, which is not the newest` : `${link} names ${target}, which is not there`;
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? `${link} is missing` : `${link} is no link, as some copies leave it`;
  }
}

/** Makes an empty folder for the checkpoint of a step; it counts once `admit` has named it. */
export async function openPartial(run: string, step: number): Promise<string> {
  const root = join(run, ROOT);
  const partial = join(root, `.step-${step}.partial`);
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) if (PASSING_FOLDER.test(name)) await rm(join(root, name), { recursive: true });
  await mkdir(partial);
  return partial;
}

/**
 * Gives a complete checkpoint its name and points `last` to it. One of the same step, which a run that went back has made anew, gives way.
 *
 * @returns its path
 */
export async function admit(run: string, step: number, partial: string): Promise<string> {
  const root = join(run, ROOT);
  const target = checkpointFolder(run, step);
  await syncFolder(partial);
  const before = join(root, `.step-${step}.removed`);
  if (await exists(target)) {
    await keepEvaluation(run, target, step);
    await rename(target, before);
  }
  await rename(partial, target);
  await syncFolder(root);
  await pointLast(run, step);
  await rm(before, { recursive: true, force: true });
  return target;
}

/** Systems that know no links, or refuse them, go without. */
async function pointLast(run: string, step: number): Promise<void> {
  const link = join(run, LAST);
  const fresh = join(run, `.${LAST}.partial`);
  try {
    const copied = await copiedLast(run);
    if (copied) await rename(copied.path, checkpointFolder(run, copied.step));
    else if ((await lstat(link).catch(() => undefined))?.isDirectory()) await rm(link, { recursive: true });
    await rm(fresh, { force: true });
    await symlink(join(ROOT, `step-${step}`), fresh, 'dir');
    await rename(fresh, link);
    await syncFolder(run);
  } catch (error) {
    if (isFullDisk(error) || !NO_LINKS.has(codeOf(error))) throw error;
  }
}

const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Takes the results of `detco eval` out of a checkpoint that is to go: a checkpoint can be made again, and they tell how a run went. */
async function keepEvaluation(run: string, checkpoint: string, step: number): Promise<void> {
  const results = join(checkpoint, EVALUATION_FILE);
  if (!(await exists(results))) return;
  await mkdir(join(run, EVALUATIONS), { recursive: true });
  await rename(results, join(run, EVALUATIONS, `step-${step}.json`));
}

/**
 * Keeps `newest` and the `keep` - 1 that it comes of. Those after the one that it was made from, `since`, are of a run that went back: what
 * they stood for is made again.
 * A folder is renamed before it is emptied, so that a kill leaves no half of a checkpoint under its name.
 */
export async function prune(run: string, { newest, since, keep }: { newest: number; since: number; keep: number }): Promise<void> {
  const before = (await listCheckpoints(run)).filter(({ step }) => step <= since && step < newest);
  const kept = new Set([newest, ...before.slice(0, Math.max(keep, 1) - 1).map(({ step }) => step)]);
  // From the latest on, so that what is left at any instant is the run up to some step.
  for (const { path, step } of await stepFolders(run)) {
    if (kept.has(step)) continue;
    await keepEvaluation(run, path, step);
    const leaving = join(run, ROOT, `.step-${step}.removed`);
    await rename(path, leaving);
    await rm(leaving, { recursive: true, force: true });
  }
}
