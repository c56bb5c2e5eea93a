/** Tar archives as a source of images: which there are, what class each holds, and their samples from any place on. */
import { stat } from 'node:fs/promises';
import { listShards, openShard } from '../../source/index.js';
import { identityOf } from '../../source/identity.js';
import { reasonOf } from '../../source/source.js';
import { quoted } from '../../../common/quoted.js';
import type { LeftOut } from '../left-out.js';
import { isImageField, LABEL_FIELD, memberName } from '../member.js';
import type { ShardSample } from '../group.js';
import { readShard } from '../read.js';
import { ShardError } from '../shard-error.js';
import { BLOCK_BYTES } from '../tar/header.js';
import { type TarMember, TarReader } from '../tar/reader.js';
import { plainKey, uniqueKeys } from './listed.js';

/** One archive of images: a whole file, or a range of bytes of an archive of archives. */
export interface Archive {
  readonly location: string;
  readonly start: number;
  /** Byte before which it ends; the end of the file without it. */
  readonly end?: number;
  /** Folder of its keys; none for a single archive. */
  readonly folder?: string;
  /** Place of its class among the sorted ones, which then goes before labels that it holds itself. */
  readonly label?: number;
}

export interface Archives {
  readonly archives: readonly Archive[];
  readonly classes: readonly string[];
}

/** A sample to begin with. */
export interface Place extends Pick<ShardSample, 'start' | 'index' | 'repeated'> {
  /** Number of its archive. */
  readonly archive: number;
}

export interface ArchivedSample {
  readonly place: Place;
  /** Its key in the shards. */
  readonly key: string;
  readonly sample: ShardSample;
}

/** The backslash before a byte of a name that is not UTF-8, which is no separator. */
const ESCAPE = /\\(?=x[0-9A-F]{2})/g;
/** A class archive of ILSVRC, named by its WordNet id. */
const CLASS_ARCHIVE = /^n\d{8}\.tar$/;

/**
 * The archives that a specification names (see `listShards`). An archive of archives, such as ILSVRC2012_img_train.tar,
 * stands for those within it: their headers are looked up, their content is not read. Archives within another, and those
 * named by a WordNet id, each hold a class; labels are the places of their sorted names.
 * @throws SourceError, ShardError
 */
export async function listArchives(spec: string, signal?: AbortSignal): Promise<Archives> {
  const options = signal ? { signal } : {};
  const found: { location: string; name: string; start: number; end?: number }[] = [];
  let nested = false;
  for (const location of await listShards([spec], options)) {
    const inner = await listInner(location, options);
    nested ||= inner.length > 0;
    if (inner.length > 0) found.push(...inner);
    else found.push({ location, name: baseName(location), start: 0, ...(await fileEnd(location)) });
  }
  const classes =
    nested || found.every(({ name }) => CLASS_ARCHIVE.test(name)) ? [...new Set(found.map(({ name }) => stem(name)))].toSorted() : [];
  const unique = uniqueKeys();
  const archives: Archive[] = [];
  for (const { name, ...archive } of found) {
    if (classes.length > 0) archives.push({ ...archive, folder: stem(name), label: classes.indexOf(stem(name)) });
    else archives.push(found.length > 1 ? { ...archive, folder: unique(name) } : archive);
  }
  return { archives, classes };
}

/** Streams every image of the archives as a sample of its own, one archive after another, from a place on. */
export async function* readArchives(
  archives: readonly Archive[],
  from: Place,
  onLeftOut: (archive: number, leftOut: LeftOut) => void,
  signal?: AbortSignal,
): AsyncGenerator<ArchivedSample, void, undefined> {
  for (const [number, { location, start, end, folder, label }] of archives.entries()) {
    if (number < from.archive) continue;
    const begin = number === from.archive && from.index > 0 ? from : { start, index: 0 };
    const range = { from: begin, ...(end !== undefined && { end }), ...(signal && { signal }) };
    const told = (leftOut: LeftOut): void => onLeftOut(number, leftOut);
    for await (const sample of readShard(location, { ...range, everyImage: true, onLeftOut: told })) {
      const own = sample.key.replace(ESCAPE, '_');
      const key = plainKey(folder === undefined ? own : `${folder}/${own}`);
      const { start: first, index, repeated } = sample;
      const place = { archive: number, start: first, index, ...(repeated && { repeated }) };
      yield { place, key, sample: label === undefined ? sample : { ...sample, label } };
    }
  }
}

/** The archives within an archive; none when it holds something else first. */
async function listInner(location: string, options: { readonly signal?: AbortSignal }): Promise<(Archive & { readonly name: string })[]> {
  const inner: (Archive & { name: string })[] = [];
  for (let at = 0; ;) {
    const member = await memberAt(location, at, options);
    if (!member) return inner;
    const { kind, name, offset: start, size, sparse } = member;
    at = member.end;
    if (kind !== 'file') continue;
    if (/\.tar$/i.test(name) && sparse) {
      const problem = `holds the archive ${quoted(name)} as a sparse file, in pieces; unpack it, or pack it without tar --sparse (-S)`;
      throw new ShardError(location, start - BLOCK_BYTES, problem);
    }
    if (/\.tar$/i.test(name)) inner.push({ location, name: baseName(name), start, end: start + size });
    else if (inner.length === 0 && isSampleFile(name)) return [];
  }
}

function isSampleFile(name: string): boolean {
  const { field = '' } = memberName(name, 'last dot') ?? {};
  return isImageField(field) || field === LABEL_FIELD;
}

/** A header is one block; a long name puts two or more before it. */
const FIRST_BYTES = BLOCK_BYTES;
const MORE_BYTES = 3 * BLOCK_BYTES;

/** The member whose headers begin at byte `at`, read without its content; undefined at the end of the archive. */
async function memberAt(location: string, at: number, options: { readonly signal?: AbortSignal }): Promise<TarMember | undefined> {
  for (let bytes = FIRST_BYTES; ; bytes = bytes === FIRST_BYTES ? MORE_BYTES : 2 * bytes) {
    const archive = new TarReader(location, openShard(location, { ...options, start: at, end: at + bytes }), at);
    try {
      return await archive.next();
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof ShardError && error.offset === at + bytes) continue;
      if (at === 0) throw error;
      const problem = `has no sound tar header at byte ${at}; if it was cut off, copy it again (${reasonOf(error)})`;
      throw new ShardError(location, at, problem, error);
    } finally {
      await archive.close();
    }
  }
}

/** Local archives only: it lets a change between two runs be seen. */
async function fileEnd(location: string): Promise<{ end?: number }> {
  const found = await stat(location).catch(() => undefined);
  return found ? { end: found.size } : {};
}

function baseName(location: string): string {
  return (/^[a-z][a-z0-9+.-]+:\/\//i.test(location) ? identityOf(location).replace(/[?#].*$/s, '') : location).replace(/^.*[\\/]/s, '');
}

function stem(name: string): string {
  return name.replace(/\.tar$/i, '');
}
