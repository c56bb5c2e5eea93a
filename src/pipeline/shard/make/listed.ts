/** Images that lie about as files: an ImageFolder or a list, and the keys they get in a shard. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { counted } from '../../../common/counted.js';
import { codeOf } from '../../../common/error-code.js';
import { realPlace } from '../../../common/real-place.js';
import { reasonOf } from '../../source/source.js';
import { parseLabel } from '../member.js';
import { ShardPlanError } from './plan.js';
import { quoted } from '../../../common/quoted.js';

export interface ListedImage {
  readonly path: string;
  /** Without a dot in its last part, and unlike any other's. */
  readonly key: string;
  readonly label?: number;
}

export interface ImageList {
  readonly images: readonly ListedImage[];
  /** Names of the labels, when folders are the classes. */
  readonly classes?: readonly string[];
  /** Files that are no images by their name. */
  readonly ignored: number;
  /** Where folders are the classes. */
  readonly loose?: LooseImages;
}

/** Images that are left out because they lie beside the class folders, and so have no class. */
export interface LooseImages {
  readonly count: number;
  /** Path of the first, by name. */
  readonly first: string;
}

const LINE = 'expected "path", or "path label" with a whole number after a tab or a space, relative to the list';
const IMAGE_NAME = /\.(jpe?g|png|webp)$/i;

/**
 * The images under a folder. Its folders are the classes: labels are their places in sorted order, as in torchvision's
 * ImageFolder; images may lie at any depth below. A folder without folders holds images without labels; images beside folders are left out.
 * @throws ShardPlanError for a folder that cannot be read, or holds a link that leads back to it; the signal's reason
 */
export async function listFolder(dir: string, signal?: AbortSignal): Promise<ImageList> {
  const { folders, images: direct, ignored } = await readFolder(dir);
  const unique = uniqueKeys();
  if (folders.length === 0) return { images: direct.map((name) => ({ path: join(dir, name), key: unique(name) })), ignored };
  const found: ListedImage[] = [];
  let others = ignored;
  const collect = async (folder: string, label: number, within: readonly string[]): Promise<void> => {
    signal?.throwIfAborted();
    const path = join(dir, folder);
    const place = await realPlace(path);
    if (within.includes(place))
      throw new ShardPlanError(`${quoted(path)} leads back to ${quoted(place)}, which holds it: remove the link, or its images come again`);
    const inner = await readFolder(path);
    others += inner.ignored;
    for (const name of inner.images) found.push({ path: join(dir, folder, name), key: unique(`${folder}/${name}`), label });
    for (const name of inner.folders) await collect(`${folder}/${name}`, label, [...within, place]);
  };
  const place = await realPlace(dir);
  for (const [label, name] of folders.entries()) await collect(name, label, [place]);
  const [first] = direct;
  const loose = first === undefined ? undefined : { count: direct.length, first: join(dir, first) };
  return { images: found, classes: folders, ignored: others, ...(loose && { loose }) };
}

/**
 * The images that a text file names: `path` or `path label` a line, with a tab or spaces between; `#` begins a comment line.
 * Paths are relative to the file.
 * @throws ShardPlanError that quotes the first line that is neither
 */
export async function readImageList(file: string): Promise<ImageList> {
  const base = dirname(resolve(file));
  const unique = uniqueKeys();
  const found: ListedImage[] = [];
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number++;
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, text] = /^\s*(.*?\.(?:jpe?g|png|webp))(?:\s+(\S.*?))?\s*$/i.exec(line) ?? [];
    if (name === undefined) {
      throw new ShardPlanError(`${file}:${number}: ${quoted(line.slice(0, 80))} names no .jpg, .jpeg, .png or .webp file; ${LINE}`);
    }
    const label = text === undefined ? undefined : parseLabel(text);
    if (text !== undefined && label === undefined) {
      throw new ShardPlanError(`${file}:${number}: label ${quoted(text)}; ${LINE}`);
    }
    const image = { path: resolve(base, name), key: unique(name) };
    found.push(label === undefined ? image : { ...image, label });
  }
  return { images: found, ignored: 0 };
}

/** One line for a person. */
export function looseInWords({ count, first }: LooseImages): string {
  const [which, them, one] = count === 1 ? ['it lies', 'it', ''] : ['they lie', 'them', ' the first'];
  return `${counted(count, 'image')} left out,${one} ${quoted(first)}: ${which} beside the class folders, which leaves ${them} without a class; move ${them} into one, or give a list of all images`;
}

/** A function from paths to keys, no two alike: a key that has been given gets a number. */
export function uniqueKeys(): (path: string) => string {
  const given = new Set<string>();
  return (path) => {
    const plain = plainKey(path.replace(/\.[^./\\]*$/, ''));
    let key = plain;
    for (let copy = 2; given.has(key); copy++) key = `${plain}-${copy}`;
    given.add(key);
    return key;
  };
}

/** A path without extension as a key. Keys end at the first dot of the base name, so `_` stands for dots; what leads out of a folder is dropped. */
export function plainKey(path: string): string {
  const parts = path.split(/[\\/]+/).filter((part) => !/^(|\.|\.\.|[a-z]:)$/i.test(part));
  const base = (parts.pop() ?? '').replaceAll('.', '_') || '_';
  return [...parts, base].join('/');
}

/** Names in a folder, sorted; hidden ones are left out. Links to folders and to files count as what they lead to. */
async function readFolder(dir: string): Promise<{ folders: string[]; images: string[]; ignored: number }> {
  const folders: string[] = [];
  const images: string[] = [];
  let ignored = 0;
  try {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      // A link that leads nowhere is listed all the same: reading it fails, and says so.
      const kind = entry.isSymbolicLink() ? await stat(join(dir, entry.name)).catch(() => undefined) : entry;
      if (kind?.isDirectory()) folders.push(entry.name);
      else if (IMAGE_NAME.test(entry.name)) images.push(entry.name);
      else ignored++;
    }
  } catch (error) {
    const remedy = codeOf(error) === 'EACCES' ? 'make it readable for this user' : 'check the path';
    throw new ShardPlanError(`${quoted(dir)} cannot be read; ${remedy} (${reasonOf(error)})`, { cause: error });
  }
  return { folders: folders.toSorted(), images: images.toSorted(), ignored };
}
