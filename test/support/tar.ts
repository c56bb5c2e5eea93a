/** Builds tar archives in memory with tar-stream. */
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

export interface Member {
  readonly name: string;
  readonly body?: string | Uint8Array;
  readonly type?: 'file' | 'directory' | 'symlink';
}

/** A whole archive with its end-of-archive blocks. */
export async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, body = '', type = 'file' } of members) {
    archive.entry({ name, type, ...(type === 'symlink' && { linkname: 'elsewhere' }) }, type === 'file' ? Buffer.from(body) : '');
  }
  archive.finalize();
  return buffer(archive);
}
