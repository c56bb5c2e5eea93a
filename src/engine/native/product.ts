/** The addon that a build leaves: whether its file and its record fit this process, as far as files tell. */
import { constants, closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Unavailable } from './unavailable.js';

const STAGING = '.new-';

/** What the build.json of every engine says. */
export interface AddonRecord {
  /** `process.arch` */
  readonly arch: string;
  /** The Node-API version that it needs. */
  readonly nodeApi: number;
  /** ISO 8601 */
  readonly builtAt: string;
  /** Of the addon: a copy that was cut short is told by it. */
  readonly bytes: number;
}

/** A build.json whose `strings` and `list`, the engine's own fields, are there; undefined when there is none that can be read. */
export function readAddonRecord<R extends AddonRecord>(
  file: string,
  strings: readonly (keyof R & string)[],
  list: keyof R & string,
): R | undefined {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as R;
    const whole =
      (['arch', ...strings] as const).every((name) => typeof record[name] === 'string') &&
      (['nodeApi', 'bytes'] as const).every((name) => typeof record[name] === 'number') &&
      Array.isArray(record[list]);
    return whole ? record : undefined;
  } catch {
    return undefined;
  }
}

const ELF = Buffer.from('\u007fELF');

/** Why a file is not the shared library of `bytes` bytes that it should be, or undefined. */
export function inspectLibrary(file: string, bytes?: number): string | undefined {
  const head = Buffer.alloc(ELF.length);
  let size: number;
  try {
    ({ size } = statSync(file));
    const descriptor = openSync(file, 'r');
    try {
      readSync(descriptor, head);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    return `${file} cannot be read (${error instanceof Error ? error.message : String(error)})`;
  }
  if (!head.equals(ELF)) return `${file} is not a shared library`;
  if (bytes !== undefined && bytes !== size) return `${file} has ${size} bytes, its build.json says ${bytes}`;
  return undefined;
}

/** Why an addon for `arch` that needs version `nodeApi` of Node-API cannot be loaded by this Node, or undefined. */
export function inspectNode(
  { arch, nodeApi }: Pick<AddonRecord, 'arch' | 'nodeApi'>,
  rebuild: (reason: string) => Unavailable,
): Unavailable | undefined {
  if (arch !== process.arch) return rebuild(`it was built for ${arch}, this Node is ${process.arch}`);
  const has = Number(process.versions.napi);
  if (nodeApi > has) {
    return {
      reason: `it needs Node-API ${nodeApi}, Node ${process.versions.node} has ${has}`,
      remedy: 'use a newer Node',
    };
  }
  return undefined;
}

/** The nearest folder that `holds`, from `from` up: a bundle may lie elsewhere in the package than its modules. */
export function findUp(from: string, holds: (folder: string) => boolean): string | undefined {
  if (holds(from)) return from;
  return from === dirname(from) ? undefined : findUp(dirname(from), holds);
}

/**
 * The folder that a product goes into, made where it is missing.
 * @throws Error that says who could write to it
 */
export async function writableFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    await rm(await mkdtemp(join(folder, '.try-')), { recursive: true });
    return folder;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot write to ${folder}, where the addon belongs (${why}): build as the user who owns the package`, {
      cause: error,
    });
  }
}

/** No build takes as long, ms. */
const ABANDONED_MS = 24 * 3600 * 1000;

/** A folder in `target` from which a product gets to its place by a rename; those of builds that were killed go. */
export async function stagingFolder(target: string): Promise<string> {
  for (const name of await readdir(target)) {
    if (!name.startsWith(STAGING)) continue;
    const folder = join(target, name);
    // One that is gone by now was not abandoned.
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Infinity }));
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(folder, { recursive: true, force: true });
  }
  return mkdtemp(join(target, STAGING));
}
