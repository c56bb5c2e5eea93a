/** Archives by GNU tar, in the forms that it has for sparse files. */
import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';

export const hasGnuTar = ((): boolean => {
  try {
    return execFileSync('tar', ['--version'], { encoding: 'utf8' }).includes('GNU tar');
  } catch {
    return false;
  }
})();

export const SPARSE_FORMS = {
  'old GNU': ['--format=oldgnu'],
  'PAX 0.0': ['--format=posix', '--sparse-version=0.0'],
  'PAX 0.1': ['--format=posix', '--sparse-version=0.1'],
  'PAX 1.0': ['--format=posix', '--sparse-version=1.0'],
} as const;
export type SparseForm = keyof typeof SPARSE_FORMS;

/** What file systems keep or leave out. */
const PAGE_BYTES = 4096;

/** Writes a file with a hole wherever a page is zeros: tar asks the file system whether a file has any. */
export async function writeHoled(path: string, bytes: Buffer): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(bytes.length);
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = bytes.subarray(at, at + PAGE_BYTES);
    if (page.some((byte) => byte !== 0)) await file.write(page, 0, page.length, at);
  }
}

/** Packs files of a folder, those with holes in pieces: each block of zeros is one hole more. */
export function packSparse(archive: string, form: SparseForm, folder: string, names: readonly string[]): void {
  execFileSync('tar', ['--sparse', '--hole-detection=raw', ...SPARSE_FORMS[form], '-cf', archive, '-C', folder, ...names]);
}
