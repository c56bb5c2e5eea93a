/** Where a command's results go: looked at before the work, written after it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileProblem, folderProblem, inWords } from '../pipeline/output-place.js';
import { UsageError } from './usage-error.js';
import { quoted } from '../common/quoted.js';
import { realPlace } from '../common/real-place.js';

type Problem = (path: string) => Promise<string | undefined>;

async function assertPlace(option: string, path: string | undefined, problem: Problem): Promise<void> {
  const found = path === undefined ? undefined : await problem(path);
  if (found !== undefined) throw new UsageError(`${option} ${quoted(path)}: ${found}`);
}

/** @throws UsageError when files cannot be put into the folder that an option names; it need not be there */
export function assertFolder(option: string, path: string | undefined): Promise<void> {
  return assertPlace(option, path, folderProblem);
}

/** @throws UsageError when the file that an option names cannot be written; neither it nor its folder need be there */
export function assertFile(option: string, path: string | undefined): Promise<void> {
  return assertPlace(option, path, fileProblem);
}

/**
 * The same of several files of one command, by option.
 * @throws UsageError when two of them are one file, too: it would hold what is written last
 */
export async function assertFiles(files: Readonly<Record<string, string | undefined>>): Promise<void> {
  const taken = new Map<string, string>();
  for (const [option, path] of Object.entries(files)) {
    if (path === undefined) continue;
    await assertFile(option, path);
    const place = await realPlace(path);
    const other = taken.get(place);
    if (other !== undefined) throw new UsageError(`${option} ${quoted(path)}: this is the file of ${other}, too; give each its own`);
    taken.set(place, option);
  }
}

/**
 * Writes a file whose place was looked at, and makes its folder.
 * @throws Error in words, such as of a disk that is full by now; nothing is left of the file then
 */
export async function writeOutput(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  } catch (error) {
    await rm(path, { force: true });
    throw writeError(path, error);
  }
}

/** A failure to write to `path`, in words. */
export function writeError(path: string, error: unknown): Error {
  return new Error(`${quoted(path)} could not be written: ${inWords(error, path)}`, { cause: error });
}
