import { rename, writeFile } from 'node:fs/promises';

/** Writes a file so that a reader finds the old one or the new one, never a part. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  await writeFile(partial, `${text}\n`, { flush: true });
  await rename(partial, path);
}
