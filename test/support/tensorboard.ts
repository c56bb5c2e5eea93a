/** TensorBoard, if it is on the machine: what it serves of a folder of runs. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { until } from './bytes.js';
import { freePort } from './free-port.js';

/** Packages of Python that belong to other programs would be taken for its own. */
const env = { ...process.env, PYTHONPATH: '' };

/** Why its tests skip, for the end of titles; empty where it is installed. */
export const noTensorBoard =
  spawnSync('tensorboard', ['--version'], { env, stdio: 'ignore' }).status === 0 ? '' : ' (skipped: no tensorboard in PATH)';

export interface Point {
  readonly timeMs: number;
  readonly step: number;
  readonly value: number;
}

export interface TensorBoard {
  /** Of a run that it has not found yet: none. */
  tags(run: string): Promise<string[]>;
  points(run: string, tag: string): Promise<Point[]>;
  /** Steps of the pictures of a tag, and the last one. */
  pictures(run: string, tag: string): Promise<{ readonly steps: number[]; readonly last: Buffer }>;
  close(): Promise<void>;
}

/** @param fast its default reader, or that in Python, of `--load_fast=false` */
export async function startTensorBoard(logdir: string, fast: boolean): Promise<TensorBoard> {
  const port = await freePort();
  const args = ['--logdir', logdir, '--port', String(port), '--reload_interval', '1', ...(fast ? [] : ['--load_fast=false'])];
  const child = spawn('tensorboard', args, { env, stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}/data/plugin`;
  const ask = async <T>(path: string): Promise<T | undefined> => {
    // It looks for news each second; who asks without a pause keeps it from that.
    await setTimeout(50);
    const response = await fetch(`${url}/${path}`);
    const body = Buffer.from(await response.arrayBuffer());
    return response.ok ? (JSON.parse(body.toString()) as T) : undefined;
  };
  const answers = (): Promise<boolean> =>
    fetch(`${url}/scalars/tags`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(async () => child.exitCode !== null || (await setTimeout(50, answers())));
  if (child.exitCode !== null) throw new Error(`tensorboard ended with ${child.exitCode}`);
  const asked = (run: string, tag: string): string => new URLSearchParams({ run, tag }).toString();
  return {
    tags: async (run) => Object.keys((await ask<Record<string, object>>('scalars/tags'))?.[run] ?? {}).toSorted(),
    points: async (run, tag) => {
      const found = await ask<[number, number, number][]>(`scalars/scalars?${asked(run, tag)}`);
      return (found ?? []).map(([seconds, step, value]) => ({ timeMs: Math.round(1000 * seconds), step, value }));
    },
    pictures: async (run, tag) => {
      const found = (await ask<{ step: number; query: string }[]>(`images/images?${asked(run, tag)}&sample=0`)) ?? [];
      const last = found.at(-1);
      if (!last) return { steps: [], last: Buffer.alloc(0) };
      const response = await fetch(`${url}/images/individualImage?${last.query}`);
      return { steps: found.map(({ step }) => step), last: Buffer.from(await response.arrayBuffer()) };
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}
