/** Work on a file, of several files that belong together, by one process at a time. */
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { askForLock } from './ask-for-lock.js';
import { self } from './lock-file.js';

/** Longer than a lock of another host counts that has fallen silent. */
const PATIENCE_MS = 180_000;
const PAUSE_MS = 50;

/**
 * Does what takes a moment while no other process does the same to `path`, whose folder is there. A kill leaves `PATH.lock`, which is in
 * nobody's way.
 *
 * @throws Error when another process has held the lock for minutes
 */
export async function alone<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  const since = performance.now();
  for (;;) {
    const { other } = await askForLock(lock, self());
    if (!other) break;
    if (performance.now() - since > PATIENCE_MS)
      throw new Error(
        `${path} was not written: process ${other.holder?.pid ?? 'unknown'} has held ${lock} for minutes; end it, or remove that file`,
      );
    await delay(PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
