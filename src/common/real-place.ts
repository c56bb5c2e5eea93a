import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** Where a file lies, by no link on the way; it need not be there. Two names of one file have one place. */
export async function realPlace(path: string): Promise<string> {
  const full = resolve(path);
  try {
    return await realpath(full);
  } catch {
    return full === dirname(full) ? full : join(await realPlace(dirname(full)), basename(full));
  }
}
