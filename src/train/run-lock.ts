/**
 * `lock` in a run's folder: the process that trains there.
 *
 *     write .lock.ID -> link it to `lock` (fails when there is one) -> remove .lock.ID
 *
 * A lock is void when its process is no more. On the same system that is looked up; of another, or where a system does not tell one process
 * from the next with its number, it shows by the lock's time, which a living process moves on every ten seconds. A process whose lock was
 * taken from it notices before its next write (`state`).
 */
import { randomUUID } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { copyFile, link, lstat, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { errorCode } from './error-code.js';
import { RunDirectoryError } from './run-directory-error.js';
import { Held, type HeldState } from './held.js';

const LOCK = 'lock';
const BEAT_MS = 10_000;
/** Silence after which a process that cannot be looked up counts as gone: twelve beats. */
const SILENCE_MS = 120_000;
const UNWRITABLE: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'EROFS']);

const holderSchema = z.object({
  id: z.string(),
  host: z.string(),
  /** Where the number means this process: the start of the system, and the container. Empty where the system does not tell. */
  namespace: z.string(),
  pid: z.int(),
  /** When the process began, in ticks since the machine did: a number is given to another process once its owner has ended. */
  began: z.string().optional(),
  since: z.string(),
});
type Holder = z.output<typeof holderSchema>;

interface FoundLock {
  readonly text: string;
  /** Undefined when what the file holds says nothing. */
  readonly holder: Holder | undefined;
  readonly mtimeMs: number;
}

/** A name alone does not tell hosts apart: many are called localhost. */
function processNamespace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}

/** State letter and beginning of a process, where the system tells: proc_pid_stat(5), fields 3 and 22. */
function processFacts(pid: number): { readonly state: string; readonly began: string } | undefined {
  try {
    // The name in parentheses may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
    return { state: fields[0] ?? '', began: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

function self(): Holder {
  const { pid } = process;
  const facts = processFacts(pid);
  const since = new Date().toISOString();
  return { id: randomUUID(), host: hostname(), namespace: processNamespace(), pid, ...(facts && { began: facts.began }), since };
}

function lives({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
  }
  const facts = processFacts(pid);
  if (facts === undefined) return true;
  // One that was killed keeps its number until its parent has looked.
  const dead = facts.state === 'Z' || facts.state === 'X';
  return !dead && (began === undefined || began === facts.began);
}

async function read(path: string): Promise<FoundLock | undefined> {
  try {
    const found = await lstat(path);
    if (!found.isFile())
      throw new RunDirectoryError(
        `"${path}" is a ${found.isDirectory() ? 'folder' : 'link'}: expected the lock of a run, a file; remove it`,
      );
    const text = await readFile(path, 'utf8');
    return { text, holder: parse(text), mtimeMs: found.mtimeMs };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parse(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Creates `lock` with what `own` holds, or throws EEXIST. */
async function place(own: string, lock: string): Promise<void> {
  try {
    await link(own, lock);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw error;
    // A file system without hard links: who looks in between finds an empty lock, whose time counts.
    await copyFile(own, lock, constants.COPYFILE_EXCL);
  }
}

/** Removes a void lock, unless another process has done so and has its own there: that one is put back. */
async function removeVoid(lock: string, found: FoundLock, id: string): Promise<void> {
  const aside = `${lock}.${id}`;
  try {
    await rename(lock, aside);
    if ((await readFile(aside, 'utf8')) !== found.text) await link(aside, lock).catch(() => undefined);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

function heldBy(run: string, { holder, mtimeMs }: FoundLock, now: number, own: Holder): string | undefined {
  const silentMs = now - mtimeMs;
  const here = holder !== undefined && holder.host === own.host && holder.namespace === own.namespace;
  const known = here && holder.began !== undefined;
  if ((here && !lives(holder)) || (!known && silentMs > SILENCE_MS)) return undefined;
  const who = holder
    ? `process ${holder.pid} on ${holder.host} trains there since ${holder.since}`
    : 'another process is about to train there';
  const gone = `if it is no more, wait ${Math.ceil((SILENCE_MS - silentMs) / 1000)} s, or remove ${join(run, LOCK)}`;
  return `"${run}" is in use: ${who}; let it finish, or stop it there${known ? '' : `; ${gone}`}`;
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
    const lock = join(run, LOCK);
    const self_ = self();
    const text = `${JSON.stringify(self_)}\n`;
    const own = join(run, `.${LOCK}.${self_.id}`);
    await writeFile(own, text).catch((error: unknown) => {
      if (!UNWRITABLE.has(errorCode(error))) throw error;
      throw new RunDirectoryError(`"${run}" cannot be written (${errorCode(error)}): make it a folder of yours, or copy the run to one`, {
        cause: error,
      });
    });
    try {
      for (;;) {
        try {
          await place(own, lock);
          return new RunLock(lock, text, everyMs);
        } catch (error) {
          if (errorCode(error) !== 'EEXIST') throw error;
        }
        const found = await read(lock);
        if (found === undefined) continue;
        // By the clock of the file system that gave the lock its time.
        const holder = heldBy(run, found, (await stat(own)).mtimeMs, self_);
        if (holder !== undefined) throw new RunDirectoryError(holder);
        await removeVoid(lock, found, self_.id);
      }
    } finally {
      await rm(own, { force: true });
    }
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
