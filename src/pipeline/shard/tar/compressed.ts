/** Files that hold an archive in another form, told by their first bytes: what they are, and what makes a tar of them. */

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
export function compressionOf(head: Uint8Array): string | undefined {
  const begins = ([magic]: readonly [string, ...unknown[]]): boolean =>
    Buffer.from(head.subarray(0, 8)).toString('latin1').startsWith(magic);
  const format = FORMATS.find(begins);
  if (format) return `is compressed with ${format[1]}, which is not supported (images do not shrink); expand it first: ${format[2]}`;
  const archive = ARCHIVES.find(begins);
  return (
    archive && `is a ${archive[1]} archive, which cannot be streamed; unpack it and make shards of the folder: detco shard FOLDER --out DIR`
  );
}
