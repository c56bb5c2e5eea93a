/**
 * Whether a path can be written, asked before the work whose result goes there. An answer says in words what stands in the way and
 * what to do; nothing is left behind.
 *
 * Node's recursive mkdir cannot be asked: it answers ENOENT where the file system is read-only.
 */
import { randomBytes } from 'node:crypto';
import { access, constants, lstat, open, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { codeOf } from '../common/error-code.js';
import { realPlace } from '../common/real-place.js';
import { reasonOf } from './source/source.js';

const ELSEWHERE = 'choose another place';

/** @returns why files cannot be put into the folder `path`, which may have to be made; undefined when they can */
export async function folderProblem(path: string): Promise<string | undefined> {
  if (path === '') return 'expected the name of a folder';
  for (let place = resolve(path); ; place = dirname(place)) {
    try {
      if ((await stat(place)).isDirectory()) return await writingProblem(place);
      return `expected a folder, and "${place}" is a file; ${ELSEWHERE}`;
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') return inWords(error, place);
      if (await lstat(place).catch(() => undefined)) return `"${place}" is a link to nothing; remove it or ${ELSEWHERE}`;
      if (place === dirname(place)) return inWords(error, place);
    }
  }
}

/**
 * A file that is there must let itself be written, and its folder take the one that replaces it; what is no file, such as a device, is written
 * to as it is.
 *
 * @returns why the file `path` cannot be written, be it there or not; undefined when it can
 */
export async function fileProblem(path: string): Promise<string | undefined> {
  if (path === '') return 'expected the name of a file';
  if (/[\\/]$/.test(path)) return 'expected a file, and this is the name of a folder; add a name';
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return 'expected a file, and this is a folder; add a name';
  if (!found) return folderProblem(dirname(await realPlace(path)));
  const refused = await access(path, constants.W_OK).then(
    () => undefined,
    (error: unknown) => inWords(error, path),
  );
  return refused ?? (found.isFile() ? writingProblem(dirname(await realPlace(path))) : undefined);
}

/** By doing it: access rights do not tell what a file server allows. */
async function writingProblem(folder: string): Promise<string | undefined> {
  const probe = join(folder, `.detco-${randomBytes(8).toString('hex')}`);
  try {
    await (await open(probe, 'wx')).close();
    await unlink(probe);
    return undefined;
  } catch (error) {
    return inWords(error, folder);
  }
}

/** What the system's refusal to write to `place` means, and what to do. */
export function inWords(error: unknown, place: string): string {
  const code = codeOf(error);
  switch (code) {
    case 'EROFS':
      return `"${place}" is on a read-only file system; ${ELSEWHERE}`;
    case 'EACCES':
    case 'EPERM':
      return `this user may not write to "${place}"; ${ELSEWHERE}`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk of "${place}" is full; free some space or ${ELSEWHERE}`;
    case 'EFBIG':
      return `files of this size are not allowed in "${place}" (ulimit -f tells the limit of this process, or the file system has one)`;
    default:
      return `nothing can be written to "${place}" (${code ?? reasonOf(error)}); ${ELSEWHERE}`;
  }
}
