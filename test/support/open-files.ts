import { readdir, readlink } from 'node:fs/promises';

/** Files that this process has open. */
export async function openFiles(counts: (path: string) => boolean): Promise<number> {
  const descriptors = await readdir('/proc/self/fd');
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter(counts).length;
}
