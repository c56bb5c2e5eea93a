/** What a file is told by. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

const READ_BYTES = 1 << 20;

/** Size and SHA-256 of a file. */
export interface FileSum {
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
}

/** Reads a file to its end. */
export async function sumOfFile(path: string): Promise<FileSum> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, sha256: hash.digest('hex') };
}
