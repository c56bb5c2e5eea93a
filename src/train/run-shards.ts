/**
 * The data of a run: `shards.json` beside the checkpoints says of each shard where it lay, its size and its version (the time of a file,
 * an ETag). It is written when the run begins and holds for all of its checkpoints: what was not known then is filled in as shards are
 * read, before the next checkpoint, and nothing in it ever changes but by a resume that has compared it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ComparedShards } from '../pipeline/shard/same-shards.js';
import { identityOf } from '../pipeline/source/identity.js';
import type { FoundShard } from '../pipeline/index.js';
import { counted } from '../common/counted.js';
import { codeOf } from '../common/error-code.js';
import { replaceFile } from './replace-file.js';
import { RunDirectoryError } from './run-directory-error.js';

const FILE = 'shards.json';
const FORMAT = 'detco-shards';
const VERSION = 1;

/** One column a field: a set may have hundreds of thousands of shards. */
const columnsSchema = z
  .object({
    format: z.literal(FORMAT),
    version: z.literal(VERSION),
    location: z.array(z.string()).min(1),
    bytes: z.array(z.int().nonnegative().nullable()),
    /** Times of files, ETags or Last-Modified of objects. */
    versions: z.array(z.string().nullable()),
  })
  .refine(({ location, bytes, versions }) => bytes.length === location.length && versions.length === location.length);

/**
 * Shards of the run, in the order of its plan; undefined when they were never noted.
 * @throws RunDirectoryError for a file that is damaged
 */
export async function readRunShards(run: string): Promise<FoundShard[] | undefined> {
  const path = join(run, FILE);
  try {
    const { location, bytes, versions } = columnsSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return location.map((place, i) => ({ location: place, bytes: bytes[i] ?? undefined, version: versions[i] ?? undefined }));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new RunDirectoryError(
      `${path} is damaged, so that it is unknown whether the data are those of the run: put it back from a copy, or remove it to go on without comparing`,
      { cause: error },
    );
  }
}

/** Replaces `shards.json`: a reader finds the old file or this one. */
export async function writeRunShards(run: string, shards: readonly FoundShard[]): Promise<void> {
  const path = join(run, FILE);
  const columns: z.input<typeof columnsSchema> = {
    format: FORMAT,
    version: VERSION,
    location: shards.map(({ location }) => identityOf(location)),
    bytes: shards.map(({ bytes }) => bytes ?? null),
    versions: shards.map(({ version }) => version ?? null),
  };
  await replaceFile(path, JSON.stringify(columns));
}

/** Keeps `shards.json` up with what is seen of shards while they are read. */
export class RunShards {
  readonly #found: () => FoundShard[];
  /** What was written, and how many versions it has: all of them when that is Infinity. */
  #written: { readonly run: string; readonly known: number } | undefined;

  /** @param found what is known of the shards by now */
  constructor(found: () => FoundShard[]) {
    this.#found = found;
  }

  /** Writes what the file of the run does not have; nothing once it has all. */
  async save(run: string): Promise<void> {
    const before = this.#written?.run === run ? this.#written.known : -1;
    if (before === Infinity) return;
    const shards = this.#found();
    const known = shards.filter(({ version }) => version !== undefined).length;
    if (known > before) await writeRunShards(run, shards);
    this.#written = { run, known: known === shards.length ? Infinity : known };
  }
}

/** What a resume has found of its data, in a line. */
export function comparedInWords({ shards, moved, sizes, versions, contents, samples }: ComparedShards): string {
  const parts = [
    counted(shards, 'name'),
    counted(sizes, 'size'),
    ...(versions > 0 ? [`${versions} times or ETags`] : []),
    ...(contents > 0 ? [`the content of ${contents} that were written again`] : []),
    ...(samples > 0 ? [`a checksum in each of ${samples}`] : []),
  ];
  const what = moved > 0 ? `the shards of the run, ${moved} of them in another place` : 'the shards of the run';
  return `data: ${what}; compared ${parts.join(', ')}`;
}
