/** What kind of thing a source of images is. */
import { open, readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf } from '../../../common/error-code.js';
import { reasonOf } from '../../source/source.js';
import { BLOCK_BYTES, isEmptyBlock, parseHeader } from '../tar/header.js';
import { otherFormatOf } from '../tar/other-format.js';
import { ShardPlanError } from './plan.js';
import { quoted } from '../../../common/quoted.js';

export interface FoundSource {
  readonly kind: 'folder' | 'list' | 'tars';
  /** Absolute path, or what was given. */
  readonly path: string;
}

const EXPECTED = 'expected a folder of class folders, a list of image files, or a tar archive (a path, http(s):// or s3://)';

/** @throws ShardPlanError when there is nothing, or nothing that is a source */
export async function findSource(source: string): Promise<FoundSource> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(source)) return { kind: 'tars', path: source };
  const path = resolve(source);
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw new ShardPlanError(`${quoted(source)} cannot be read (${reasonOf(error)}); ${EXPECTED}`, { cause: error });
  });
  if (!found) {
    if (/[*?{[]/.test(source)) return { kind: 'tars', path: source };
    throw new ShardPlanError(`${quoted(source)}: there is nothing of that name; ${EXPECTED}`);
  }
  if (found.isDirectory()) return { kind: (await holdsArchives(path)) ? 'tars' : 'folder', path };
  const head = await readHead(path, source);
  if (head.length === BLOCK_BYTES && (isEmptyBlock(head) || parseHeader(head))) return { kind: 'tars', path };
  const other = otherFormatOf(head);
  if (other !== undefined) throw new ShardPlanError(`${quoted(source)} ${other}`);
  if (head.length === 0) throw new ShardPlanError(`${quoted(source)} is empty; ${EXPECTED}`);
  if (head.includes(0) || !isText(head)) throw new ShardPlanError(`${quoted(source)} is neither text nor a tar archive; ${EXPECTED}`);
  return { kind: 'list', path };
}

/** A folder of archives and no folders; what cannot be read is found out by who reads it. */
async function holdsArchives(dir: string): Promise<boolean> {
  const entries = (await readdir(dir, { withFileTypes: true }).catch(() => [])).filter(({ name }) => !name.startsWith('.'));
  return entries.some(({ name }) => name.endsWith('.tar')) && !entries.some((entry) => entry.isDirectory());
}

async function readHead(path: string, source: string): Promise<Buffer> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new ShardPlanError(`${quoted(source)} cannot be read (${reasonOf(error)}); make it readable for this user`, {
      cause: error,
    });
  }
}

/** A multi-byte character may be cut at the end. */
function isText(head: Buffer): boolean {
  return !head.toString('utf8').slice(0, -1).includes('\uFFFD');
}
