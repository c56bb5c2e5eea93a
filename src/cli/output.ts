/** Where a command's results go: looked at before the work, written after it. */
import { open, stat } from 'node:fs/promises';
import { fileProblem, folderProblem, inWords } from '../pipeline/output-place.js';
import { UsageError } from './usage-error.js';
import { quoted } from '../common/quoted.js';
import { realPlace } from '../common/real-place.js';
import { replaceWhole, writeChunks } from '../common/replace-whole.js';

type Problem = (path: string) => Promise<string | undefined>;

async function assertPlace(option: string, path: string | undefined, problem: Problem): Promise<void> {
  const found = path === undefined ? undefined : await problem(path);
  if (found !== undefined) throw new UsageError(`${option} ${quoted(path)}: ${found}`);
}

/** @throws UsageError when files cannot be put into the folder that an option names; it need not be there */
export function assertFolder(option: string, path: string | undefined): Promise<void> {
  return assertPlace(option, path, folderProblem);
}

/** What commands write over earlier results of their kind, and over nothing else: how each begins, what it is, and how its name ends. */
const RESULTS = {
  picture: { begins: '\u0089PNG\r\n\u001A\n', what: 'PNG', ending: '.png' },
  page: { begins: '<!doctype html>', what: 'HTML page', ending: '.html' },
  trace: { begins: '{"traceEvents":', what: 'trace', ending: '' },
} as const;

type Result = keyof typeof RESULTS;

/**
 * Neither the file nor its folder need be there.
 * @throws UsageError when the file that an option names cannot be written, holds something else or has a name that says that it is something else
 */
export function assertFile(option: string, path: string | undefined, result?: Result): Promise<void> {
  return assertPlace(option, path, async (file) => (await fileProblem(file)) ?? (result && (await resultProblem(file, result))));
}

async function resultProblem(path: string, result: Result): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  // Nothing lies in a device, and its name says nothing.
  if (found && !found.isFile()) return undefined;
  // Nothing is lost with an empty file.
  const other = found && found.size > 0 ? await otherProblem(path, result) : undefined;
  const { ending } = RESULTS[result];
  return other ?? (path.toLowerCase().endsWith(ending) ? undefined : `expected a name that ends in ${ending}`);
}

/** Files of a run, shards and what a command reads are no results: whatever is there and begins otherwise stays. */
async function otherProblem(path: string, result: Result): Promise<string | undefined> {
  const { begins, what } = RESULTS[result];
  await using file = await open(path, 'r');
  const head = Buffer.alloc(begins.length);
  await file.read(head, 0, head.length, 0);
  if (head.toString('latin1') === begins) return undefined;
  return `this file is there and no ${what}: a result takes the place of an earlier one alone; choose another file, or move it away`;
}

/** A file that an option names, and what goes into it; without `result` it is looked at where it is added to. */
export interface Output {
  readonly path: string | undefined;
  readonly result?: Result;
}

/**
 * The same of several files of one command, by option.
 * @throws UsageError when two of them are one file, too: it would hold what is written last
 */
export async function assertFiles(files: Readonly<Record<string, Output>>): Promise<void> {
  const taken = new Map<string, string>();
  for (const [option, { path, result }] of Object.entries(files)) {
    if (path === undefined) continue;
    await assertFile(option, path, result);
    const place = await realPlace(path);
    const other = taken.get(place);
    if (other !== undefined) throw new UsageError(`${option} ${quoted(path)}: this is the file of ${other}, too; give each its own`);
    taken.set(place, option);
  }
}

/**
 * Writes a file whose place was looked at, and makes its folder.
 * @throws Error in words, such as of a disk that is full by now; what was there before is as it was then
 */
export async function writeOutput(path: string, content: string | Uint8Array): Promise<void> {
  await replaceWhole(path, (partial) => writeChunks(partial, [Buffer.from(content)])).catch((error: unknown) => {
    throw writeError(path, error);
  });
}

/** A failure to write to `path`, in words. */
export function writeError(path: string, error: unknown): Error {
  return new Error(`${quoted(path)} could not be written: ${inWords(error, path)}`, { cause: error });
}
