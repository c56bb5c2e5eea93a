/** What `--resume` names: a run, and the checkpoint of it to go on from. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { loadCheckpoint, type LoadedCheckpoint } from './checkpoint.js';
import { CheckpointError } from './checkpoint-state.js';
import { furthestStep } from './metrics-file.js';
import { incompleteFolders, lastCheckpoint, lastProblem, listCheckpoints, namedCheckpoint, passedOver } from './run-checkpoints.js';
import { holdsRun, METRICS } from './run-directory.js';

/** Continues the newest run, or begins one. */
export const AUTO = 'auto';

export interface ResumePoint {
  /** The run's folder. */
  readonly run: string;
  /** Folder of the checkpoint; the newest when absent. */
  readonly checkpoint?: string;
}

/** What is resumed, and what the user should know of it. */
export interface Resumed {
  /** Absent when the run was stopped before its first checkpoint. */
  readonly checkpoint?: LoadedCheckpoint;
  readonly warnings: string[];
}

/** @param resume `RUN`, `RUN/last` or `RUN/checkpoints/step-N` */
export async function resumePoint(resume: string): Promise<ResumePoint> {
  const named = namedCheckpoint(resume);
  if (named) return { run: named.run, checkpoint: named.path };
  // A run may have this name as well.
  const isLast = basename(resume) === 'last' && !(await holdsRun(resume).catch(() => false)) && (await holdsRun(dirname(resume)));
  return { run: isLast ? dirname(resume) : resume };
}

/**
 * The run that `--resume auto` continues: the one in `folder`, else that below it which was written to last.
 * @param prefix what the names of the runs below it begin with
 */
export async function newestRun(folder: string, prefix = ''): Promise<string | undefined> {
  if (await holdsRun(folder)) return folder;
  const names = await readdir(folder).catch(() => []);
  let newest: { readonly path: string; readonly at: number } | undefined;
  for (const name of names.filter((one) => one.startsWith(prefix))) {
    const path = join(folder, name);
    if (!(await holdsRun(path).catch(() => false))) continue;
    const at = await writtenAt(path);
    if (newest === undefined || at > newest.at) newest = { path, at };
  }
  return newest?.path;
}

async function writtenAt(run: string): Promise<number> {
  const times = [METRICS, 'config.json'].map((name) =>
    stat(join(run, name)).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ),
  );
  return Math.max(...(await Promise.all(times)));
}

/**
 * Reads the checkpoint that a run goes on from.
 * @throws CheckpointError when it cannot be used, or there is none although updates were made
 */
export async function loadResumed({ run, checkpoint }: ResumePoint): Promise<Resumed> {
  const warnings: string[] = [];
  const newest = await lastCheckpoint(run);
  const path = checkpoint ?? newest;
  if (path === undefined) {
    await assertNothingDone(run);
    return { warnings };
  }
  const loaded = await loadCheckpoint(path);
  const { step } = loaded.state;
  if (!loaded.verified) warnings.push(`${path} was made without checksums: its files are taken as they are`);
  if (checkpoint === undefined) {
    const problem = await lastProblem(run, path);
    if (problem !== undefined) warnings.push(`${problem}: took the newest complete checkpoint, ${path}`);
    warnings.push(...(await passedOver(run, step)));
  } else {
    const later = (await listCheckpoints(run)).filter((found) => found.step > step);
    if (later.length > 0)
      warnings.push(
        `goes back to step ${step}: ${later.map((found) => basename(found.path)).join(', ')} and the lines of metrics.jsonl after it ` +
          `are removed when the next checkpoint is complete`,
      );
  }
  return { checkpoint: loaded, warnings };
}

/** A run without a checkpoint may begin again only if that loses nothing. */
async function assertNothingDone(run: string): Promise<void> {
  const done = await furthestStep(join(run, METRICS));
  const incomplete = await incompleteFolders(run);
  if (done === 0 && incomplete.length === 0) return;
  const found = [...(done > 0 ? [`metrics up to step ${done}`] : []), ...incomplete.map(({ path }) => `${path} without a state.json`)].join(
    ', ',
  );
  throw new CheckpointError(
    `"${run}" has no complete checkpoint, but ${found}: to resume would begin again at step 0 and replace that. ` +
      `Bring back a checkpoint, such as ${join(run, 'checkpoints', `step-${done}`)} with its state.json and safetensors files, ` +
      `or start another run with another --out`,
  );
}
