/**
 * `lock` in a run's folder: the process that trains there.
 *
 *     write .lock.ID -> link it to `lock` (fails when there is one) -> remove .lock.ID
 *
 * A lock is void when its process is no more. On the same system that is looked up; of another, or where a system does not tell one process
 * from the next with its number, it shows by the lock's time, which a living process moves on every ten seconds. A process whose lock was
 * taken from it notices before its next write (`state`).
 *
 * Who may replace a void lock is decided as who may make one: by a link to a name that only one can make.
 *
 *     link .lock.ID to .lock.VOID.next, VOID being what the lock holds -> see that `lock` still holds VOID -> rename .lock.VOID.next to `lock`
 *
 * `lock` never holds VOID again once it has been replaced, so who comes with an old look at it finds that and steps back. A process that dies
 * on the way leaves a void `.lock.VOID.next`, which is replaced in the same way.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { copyFile, link, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../common/error-code.js';
import { Held, type HeldState } from './held.js';
import { type FoundLock, type Holder, readLock, remainingMs, self } from './lock-file.js';
import { RunDirectoryError } from './run-directory-error.js';

const LOCK = 'lock';
const BEAT_MS = 10_000;
const UNWRITABLE: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'EROFS']);

/** A process that asks for the lock of a run. */
interface Asking {
  readonly run: string;
  readonly self: Holder;
  /** Its own file, with the text of a lock. */
  readonly own: string;
  /** When that was written, by the clock of the file system. */
  readonly now: number;
}

const privateFile = (run: string, id: string): string => join(run, `.${LOCK}.${id}`);
const successorOf = (run: string, id: string): string => `${privateFile(run, id)}.next`;

/** Creates `path` with what `own` holds, or throws EEXIST. */
async function place(own: string, path: string): Promise<void> {
  try {
    await link(own, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw error;
    // A file system without hard links: who looks in between finds an empty lock, whose time counts.
    await copyFile(own, path, constants.COPYFILE_EXCL);
  }
}

/** @returns the lock that another process has, or will have before it does anything else; undefined when it is ours */
async function seize(path: string, asking: Asking): Promise<FoundLock | undefined> {
  for (;;) {
    try {
      await place(asking.own, path);
      return undefined;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const found = await readLock(path);
    if (found === undefined) continue;
    // A server of files whose answer was lost is asked again, and finds what it has done.
    if (found.id === asking.self.id) return undefined;
    if (remainingMs(found, asking.now, asking.self) > 0) return found;
    const next = successorOf(asking.run, found.id);
    const successor = await seize(next, asking);
    try {
      if ((await readLock(path))?.id !== found.id) continue;
      if (successor) return successor;
      await rename(next, path);
      return undefined;
    } catch (error) {
      // A rename whose answer was lost: what lies there tells.
      if (codeOf(error) !== 'ENOENT') throw error;
    } finally {
      if (!successor) await rm(next, { force: true });
    }
  }
}

/** Removes what processes that died have left. A successor of `self` stays: who makes one decides by it. */
async function removeVoid({ run, self: { id }, self: own, now }: Asking): Promise<void> {
  const names = (await readdir(run)).filter((name) => name.startsWith(`.${LOCK}.`));
  for (const path of names.map((name) => join(run, name))) {
    if (path === successorOf(run, id)) continue;
    const found = await readLock(path);
    if (found && remainingMs(found, now, own) === 0) await rm(path, { force: true });
  }
}

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
    const text = `${JSON.stringify(holder)}\n`;
    const own = privateFile(run, holder.id);
    await writeFile(own, text).catch((error: unknown) => {
      if (!UNWRITABLE.has(codeOf(error))) throw error;
      throw new RunDirectoryError(`"${run}" cannot be written (${codeOf(error)}): make it a folder of yours, or copy the run to one`, {
        cause: error,
      });
    });
    try {
      const asking: Asking = { run, self: holder, own, now: (await stat(own)).mtimeMs };
      const other = await seize(path, asking);
      if (other) throw inUse(run, other, remainingMs(other, asking.now, holder));
      const lock = new RunLock(path, text, everyMs);
      await removeVoid(asking).catch(() => undefined);
      return lock;
    } finally {
      await rm(own, { force: true });
    }
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
