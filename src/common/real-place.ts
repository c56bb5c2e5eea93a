import { readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { codeOf } from './error-code.js';

/** Where a file lies, by no link on the way; it need not be there, nor what a link leads to. Two names of one file have one place. */
export async function realPlace(path: string): Promise<string> {
  const full = resolve(path);
  try {
    return await realpath(full);
  } catch (error) {
    if (full === dirname(full)) return full;
    const folder = await realPlace(dirname(full));
    const target = codeOf(error) === 'ENOENT' ? await readlink(full).catch(() => undefined) : undefined;
    return target === undefined ? join(folder, basename(full)) : realPlace(resolve(folder, target));
  }
}
