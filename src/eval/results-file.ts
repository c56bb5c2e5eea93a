/** `eval.json`: what evaluations of one checkpoint found, by name. A later one of a name takes the place of the one before. */
import { readFile, writeFile } from 'node:fs/promises';
import { codeOf } from '../common/error-code.js';
import { replaceWhole } from '../interop/replace-whole.js';

/** A file of results that cannot be added to. */
export class ResultsError extends Error {
  override name = 'ResultsError';
}

type Results = Readonly<Record<string, unknown>>;

/** @throws ResultsError for a file that is not what `addResult` writes */
export async function readResults(path: string): Promise<Results> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return {};
    const reason = error instanceof Error ? error.message : String(error);
    throw new ResultsError(`${path} cannot be read (${reason}): move it away, or give another file with --out`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ResultsError(`${path} holds no results by name: move it away, or give another file with --out`);
  return value as Results;
}

/** Keeps a result beside those of other names; a kill at any instant leaves the file as it was, or with the result. */
export async function addResult(path: string, name: string, result: object): Promise<void> {
  const text = JSON.stringify({ ...(await readResults(path)), [name]: result }, undefined, 2);
  await replaceWhole(path, (partial) => writeFile(partial, `${text}\n`, { flush: true }));
}
