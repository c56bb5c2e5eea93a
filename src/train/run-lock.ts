/**
 * `lock` in a run's folder: the process that trains there.
 *
 * A lock is void when its process is no more. On the same system that is looked up; of another, or where a system does not tell one process
 * from the next with its number, it shows by the lock's time, which a living process moves on every ten seconds. A process whose lock was
 * taken from it notices before its next write (`state`).
 */
import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../common/error-code.js';
import { Held, type HeldState } from './held.js';
import { type FoundLock, lockText, readLock, remainingMs, self } from './lock-file.js';
import { RunDirectoryError } from './run-directory-error.js';
import { askForLock } from './ask-for-lock.js';

const LOCK = 'lock';
const BEAT_MS = 10_000;
const UNWRITABLE: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'EROFS']);

function inUse(run: string, { holder }: FoundLock, forMs: number): RunDirectoryError {
  const who = holder
    ? `process ${holder.pid} on ${holder.host} trains there since ${holder.since}`
    : 'another process is about to train there';
  const gone = Number.isFinite(forMs) ? `; if it is no more, wait ${Math.ceil(forMs / 1000)} s, or remove ${join(run, LOCK)}` : '';
  return new RunDirectoryError(`"${run}" is in use: ${who}; let it finish, or stop it there${gone}`);
}

/** A lock that this process has. */
export class RunLock {
  readonly #held: Held;
  readonly #file: number;
  readonly #heartbeat: Worker;

  private constructor(path: string, text: string, everyMs: number) {
    this.#held = new Held(path);
    this.#file = openSync(path, 'r+');
    this.#heartbeat = new Worker(new URL('./heartbeat.js', import.meta.url), { workerData: { file: this.#file, text, everyMs } });
    // A lock whose time stands still is a lock nevertheless.
    this.#heartbeat.on('error', () => undefined).unref();
  }

  /**
   * Takes the lock of a run.
   * @throws RunDirectoryError that names the process which has it
   */
  static async take(run: string, { everyMs = BEAT_MS }: { readonly everyMs?: number } = {}): Promise<RunLock> {
    const path = join(run, LOCK);
    const holder = self();
    const { other, forMs } = await askForLock(path, holder).catch((error: unknown) => {
      if (!UNWRITABLE.has(codeOf(error))) throw error;
      throw new RunDirectoryError(`"${run}" cannot be written (${codeOf(error)}): make it a folder of yours, or copy the run to one`, {
        cause: error,
      });
    });
    if (other) throw inUse(run, other, forMs);
    return new RunLock(path, lockText(holder), everyMs);
  }

  /** @throws RunDirectoryError that names the process which has the lock of a run */
  static async assertFree(run: string): Promise<void> {
    const found = await readLock(join(run, LOCK));
    // The clock of this host will do: who takes the lock looks again.
    const forMs = found ? remainingMs(found, Date.now(), self()) : 0;
    if (found && forMs > 0) throw inUse(run, found, forMs);
  }

  /** Whether the lock is still this process's. */
  state(): HeldState {
    return this.#held.state();
  }

  async release(): Promise<void> {
    await this.#heartbeat.terminate();
    closeSync(this.#file);
    if (this.state() === 'there') await rm(this.#held.path, { force: true });
    this.#held.close();
  }
}
