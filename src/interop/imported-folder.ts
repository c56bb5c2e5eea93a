/**
 * What `detco import` leaves: `backbone.safetensors`, with torchvision's names and layout, so that other programs read it too; and
 * `backbone.json`, which says where it comes from.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../common/error-code.js';
import { sumOfFile } from '../common/file-sum.js';
import { replaceWhole } from '../common/replace-whole.js';
import { WeightsError } from './weights-error.js';

const WEIGHTS = 'backbone.safetensors';
const ORIGIN = 'backbone.json';

const schema = z.looseObject({ sha256: z.string() });

export function weightsFile(folder: string): string {
  return join(folder, WEIGHTS);
}

/** Says where the weights in a folder come from; the last thing that an import writes. */
export async function writeOrigin(folder: string, origin: { readonly sha256: string }): Promise<void> {
  const text = `${JSON.stringify(origin, undefined, 2)}\n`;
  await replaceWhole(join(folder, ORIGIN), (partial) => writeFile(partial, text, { flush: true }));
}

export async function isImported(folder: string): Promise<boolean> {
  return (await stat(join(folder, ORIGIN)).catch(() => undefined)) !== undefined;
}

/** The file in a folder of `detco import`, checked; undefined when it is none. */
export async function importedFile(folder: string): Promise<string | undefined> {
  const origin = join(folder, ORIGIN);
  const text = await readFile(origin, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const path = weightsFile(folder);
  const again = 'import the weights again';
  let sha256: string;
  try {
    ({ sha256 } = schema.parse(JSON.parse(text)));
  } catch (error) {
    throw new WeightsError(`${origin} is damaged: ${again}`, { cause: error });
  }
  const sum = await sumOfFile(path).catch((error: unknown) => {
    throw new WeightsError(`${path} cannot be read (${codeOf(error)}): ${again}`, { cause: error });
  });
  if (sum.sha256 !== sha256) throw new WeightsError(`${path} is not what ${origin} tells of: its SHA-256 is ${sum.sha256}; ${again}`);
  return path;
}
