/** System calls by which threads wait for and wake each other, counted by strace. */
import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ours } from './configurations.mjs';

export const STRACE_INSTALL = 'apt-get install -y strace';

export function hasStrace() {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Futex calls an image of a run like `ours(options)`, which takes longer, for each call is stopped at. */
export async function futexesPerImage(options) {
  const folder = await mkdtemp(join(tmpdir(), 'detco-futexes-'));
  const file = join(folder, 'calls');
  try {
    // Only the calls that are counted stop; each line begins with the thread and the time of its beginning.
    const prefix = ['strace', '-f', '-qq', '--seccomp-bpf', '-ttt', '-e', 'trace=futex', '-e', 'signal=none', '-o', file];
    const { images, window } = await ours(options, { prefix });
    return (await callsWithin(file, window)) / images;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function callsWithin(file, [from, to]) {
  let calls = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    // A call that another thread's line interrupts has a second line, "resumed", which is no call.
    const [, seconds] = /^\d+ +(\d+\.\d+) futex\(/.exec(line) ?? [];
    if (seconds !== undefined && 1000 * seconds >= from && 1000 * seconds <= to) calls++;
  }
  return calls;
}
