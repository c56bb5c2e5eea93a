/** What the benchmarks of the pipeline run, each time in a process of its own: the pipeline, torchvision, and sharp that only decodes. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { measure } from './child.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';
export const PEER_INSTALL = 'apt-get install -y python3-torch python3-torchvision python3-pil';
/** V8 compiles what turns out to be hot for some seconds. */
export const WARM_UP_SECONDS = 3;
/** Threads of libuv, as `detco` sets them. */
export const UV_THREADS = Math.max(4, availableParallelism());

/** A script beside this file, with options as JSON, that prints its result. */
export function node(script, options, { threads = UV_THREADS, prefix = [] } = {}) {
  const [command, ...args] = [...prefix, process.execPath, join(HERE, script), JSON.stringify(options)];
  return measure(command, args, { UV_THREADPOOL_SIZE: String(threads) });
}

/** The pipeline: `shards`, `workers`, `batch`, `seconds`, `randAugment`, and what else `ours.mjs` takes. */
export function ours(options, how) {
  return node('ours.mjs', { warmUpSeconds: WARM_UP_SECONDS, ...options }, how);
}

/** The reference measures images a second itself; what it uses is seen from outside. */
export async function torchvision({ shards, workers, batch, seconds }, options = []) {
  const args = [join(dirname(HERE), 'peers', 'torchvision_views.py'), ...shards, '--workers', String(workers), '--batch', String(batch)];
  const result = await measure(PYTHON, [...args, '--seconds', String(seconds), ...options]);
  const cpuMs = result.cpuPerWall && (1000 * result.cpuPerWall) / result.imagesPerSecond;
  return { imagesPerSecond: result.imagesPerSecond, cpuMs, peakMB: result.peakMB };
}

/** Versions of what torchvision's side needs; undefined, and said on stderr, when it is not there. */
export async function peerVersions() {
  const script = 'import json, torch, torchvision, PIL; print(json.dumps([torch.__version__, torchvision.__version__, PIL.__version__]))';
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', script]).catch(() => ({ stdout: '' }));
  if (stdout === '') {
    process.stderr.write(`No peer: ${PYTHON} has no torch, torchvision or PIL. To compare, run: ${PEER_INSTALL}\n\n`);
    return undefined;
  }
  const [torch, torchvision, pil] = JSON.parse(stdout);
  return { torch, torchvision, pil };
}
