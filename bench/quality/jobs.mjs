/** Runs the pieces of a comparison, some at once; what is done is kept, so that a run that was cut goes on. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatDuration } from '../../dist/common/duration.js';
import { ProgressText } from '../../dist/common/progress-text.js';

const JOB = fileURLToPath(new URL('job.mjs', import.meta.url));
/** What an evaluation costs, in updates: for the time that is left. */
const EVALUATION_COST = 200;

/** The results of a folder, one file a job. */
export class Results {
  #dir;

  constructor(dir) {
    this.#dir = dir;
  }

  /** @returns undefined where the job is not done */
  async get(id) {
    const text = await readFile(this.#path(id), 'utf8').catch((error) => {
      if (error.code !== 'ENOENT') throw error;
    });
    return text && JSON.parse(text);
  }

  /** Whole, or not at all. */
  async put(id, result) {
    await mkdir(this.#dir, { recursive: true });
    await writeFile(`${this.#path(id)}.tmp`, `${JSON.stringify(result)}\n`);
    await rename(`${this.#path(id)}.tmp`, this.#path(id));
  }

  #path(id) {
    return join(this.#dir, `${id}.json`);
  }
}

/**
 * Does the jobs in their order, `atOnce` at a time.
 *
 * @param jobs each with an `id` and what `job.mjs` takes besides `common`
 * @returns the results in the order of the jobs
 */
export async function runJobs(jobs, { common, results, atOnce, signal, display }) {
  const done = await Promise.all(jobs.map(({ id }) => results.get(id)));
  const left = jobs.filter((_, at) => done[at] === undefined);
  const total = costOf(left);
  const words = new ProgressText('quality');
  let [finished, count] = [0, jobs.length - left.length];
  const show = () => {
    const { text, share } = words.of({ done: count, total: jobs.length, unit: 'jobs', share: total === 0 ? 1 : finished / total });
    display.show(text, share);
  };
  show();
  const next = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      const result = await runJob({ ...common, ...job }, signal);
      await results.put(job.id, result);
      done[jobs.indexOf(job)] = result;
      finished += costOf([job]);
      count++;
      display.print(`${job.id}: ${inWords(result)}`);
      show();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  display.end();
  return done;
}

function costOf(jobs) {
  return jobs.reduce((sum, { updates = 0 }) => sum + updates + EVALUATION_COST, 0);
}

async function runJob(task, signal) {
  const env = { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  const { stdout } = await promisify(execFile)(process.execPath, [JOB, JSON.stringify(task)], { env, signal });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

function inWords({ knn, linear, numbers, diverged, seconds }) {
  if (diverged) return `the loss was no number after ${diverged} updates`;
  const score = numbers ? `kNN of res5 ${numbers['knn.res5'].toFixed(3)}, AP50 ${numbers.ap50.toFixed(3)}` : (knn ?? linear).toFixed(3);
  return `${score}, ${formatDuration(seconds)}`;
}
