/** Files in the place of a tar archive, told by their first bytes: what they are, and what makes a tar of them. */
import { placeholderOf } from '../../placeholder.js';

const FORMATS: readonly (readonly [magic: string, name: string, remedy: string])[] = [
  ['\x1f\x8b', 'gzip', 'gunzip'],
  ['\x28\xb5\x2f\xfd', 'zstd', 'zstd -d'],
  ['\xfd7zXZ\0', 'xz', 'unxz'],
  ['BZh', 'bzip2', 'bunzip2'],
  ['\x04\x22\x4d\x18', 'lz4', 'lz4 -d'],
];
const ARCHIVES: readonly (readonly [magic: string, name: string])[] = [
  ['PK\x03\x04', 'zip'],
  ['7z\xbc\xaf\x27\x1c', '7z'],
  ['Rar!\x1a\x07', 'rar'],
];

/** @returns what the file is and what to do, in words; undefined when it is none of these */
export function otherFormatOf(head: Uint8Array): string | undefined {
  const start = Buffer.from(head).toString('latin1');
  const begins = ([magic]: readonly [string, ...unknown[]]): boolean => start.startsWith(magic);
  const format = FORMATS.find(begins);
  if (format) return `is compressed with ${format[1]}, which is not supported (images do not shrink); expand it first: ${format[2]}`;
  const archive = ARCHIVES.find(begins);
  if (archive)
    return `is a ${archive[1]} archive, which cannot be streamed; unpack it and make shards of the folder: npx detco shard FOLDER --out DIR`;
  const placeholder = placeholderOf(start);
  return placeholder && `is ${placeholder.name} and not a tar archive; ${placeholder.remedy}`;
}
