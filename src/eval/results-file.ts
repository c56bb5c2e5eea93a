/** `eval.json`: what evaluations of one checkpoint found, by name. A later one of a name takes the place of the one before. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../common/error-code.js';
import { quoted } from '../common/quoted.js';
import { realPlace } from '../common/real-place.js';
import { replaceWhole } from '../common/replace-whole.js';
import { alone } from '../train/alone.js';

/** A file of results that cannot be added to. */
export class ResultsError extends Error {
  override name = 'ResultsError';
}

const resultSchema = z.looseObject({ evaluation: z.string(), stages: z.record(z.string(), z.unknown()) });
type Results = Readonly<Record<string, unknown>>;

/** @throws ResultsError for a file that is not what `addResult` writes */
export async function readResults(path: string): Promise<Results> {
  const instead = 'move it away, or give another file with --out';
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return {};
    const reason = error instanceof Error ? error.message : String(error);
    throw new ResultsError(`${path} cannot be read (${reason}): ${instead}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ResultsError(`${path} holds no results by name: ${instead}`);
  const other = Object.entries(value).find(([, entry]) => !resultSchema.safeParse(entry).success);
  if (other) throw new ResultsError(`${path} holds ${quoted(other[0])}, which is no result of an evaluation: ${instead}`);
  return value as Results;
}

/**
 * Keeps a result beside those of other names, also when several processes do so at once. A kill at any instant leaves the file as it was,
 * or with the result.
 */
export async function addResult(path: string, name: string, result: object): Promise<void> {
  const place = await realPlace(path);
  await mkdir(dirname(place), { recursive: true });
  await alone(place, async () => {
    const text = JSON.stringify({ ...(await readResults(place)), [name]: result }, undefined, 2);
    await replaceWhole(place, (partial) => writeFile(partial, `${text}\n`, { flush: true }));
  });
}
