/**
 * How a lock file is made by one process alone.
 *
 *     write .lock.ID -> link it to `lock` (fails when there is one) -> remove .lock.ID
 *
 * Who may replace a void lock is decided as who may make one: by a link to a name that only one can make.
 *
 *     link .lock.ID to .lock.VOID.next, VOID being what the lock holds -> see that `lock` still holds VOID -> rename .lock.VOID.next to `lock`
 *
 * `lock` never holds VOID again once it has been replaced, so who comes with an old look at it finds that and steps back. A process that dies
 * on the way leaves a void `.lock.VOID.next`, which is replaced in the same way.
 */
import { constants } from 'node:fs';
import { copyFile, link, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from '../common/error-code.js';
import { type FoundLock, type Holder, lockText, readLock, remainingMs } from './lock-file.js';

/** A process that asks for a lock. */
interface Asking {
  readonly path: string;
  readonly self: Holder;
  /** Its own file, with the text of a lock. */
  readonly own: string;
  /** When that was written, by the clock of the file system. */
  readonly now: number;
}

const privateFile = (path: string, id: string): string => join(dirname(path), `.${basename(path)}.${id}`);
const successorOf = (path: string, id: string): string => `${privateFile(path, id)}.next`;

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
    const next = successorOf(asking.path, found.id);
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
async function removeVoid({ path, self: own, now }: Asking): Promise<void> {
  const folder = dirname(path);
  const names = (await readdir(folder)).filter((name) => name.startsWith(`.${basename(path)}.`));
  for (const left of names.map((name) => join(folder, name))) {
    if (left === successorOf(path, own.id)) continue;
    const found = await readLock(left);
    if (found && remainingMs(found, now, own) === 0) await rm(left, { force: true });
  }
}

/** The lock that another process has, and for how many milliseconds it still counts. */
export interface Answer {
  readonly other: FoundLock | undefined;
  readonly forMs: number;
}

/**
 * Makes the lock file `path`, unless another process has it.
 * @returns `other` undefined when it is the holder's
 */
export async function askForLock(path: string, holder: Holder): Promise<Answer> {
  const own = privateFile(path, holder.id);
  try {
    await writeFile(own, lockText(holder));
    const asking: Asking = { path, self: holder, own, now: (await stat(own)).mtimeMs };
    const other = await seize(path, asking);
    if (other) return { other, forMs: remainingMs(other, asking.now, holder) };
    await removeVoid(asking).catch(() => undefined);
    return { other: undefined, forMs: 0 };
  } finally {
    await rm(own, { force: true });
  }
}
