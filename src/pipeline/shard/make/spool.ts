/**
 * Spools: where samples wait whose shard is not known yet. An archive tells neither how many images it holds nor mixes
 * its classes, so they are dealt to a fixed number of spools as they come, and when all are there the spools, one after
 * another and each in random order, are cut into shards.
 *
 * A spool is a file of records: a 32-bit length, that many bytes of JSON (names, sizes), the bytes of the members.
 */
import { appendFile, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { ShardMember } from '../write.js';

/** Length of a spool, bytes, and the samples in it. */
export type SpoolSize = readonly [bytes: number, samples: number];

export interface SpooledSample {
  readonly members: readonly ShardMember[];
  readonly resized: boolean;
}

interface RecordHeader {
  readonly resized: boolean;
  readonly members: readonly { readonly name: string; readonly size: number }[];
}

const LENGTH_BYTES = 4;
/** Covers the length and the names of nearly all samples. */
const HEAD_BYTES = 512;

const spoolPath = (dir: string, spool: number): string => join(dir, `spool-${String(spool).padStart(6, '0')}.tmp`);

/** Appends to spools, in memory until `flush`: no file stays open, however many spools there are. */
export class SpoolWriter {
  readonly #dir: string;
  readonly #sizes: [bytes: number, samples: number][];
  readonly #pending = new Map<number, Uint8Array[]>();
  #pendingBytes = 0;

  private constructor(dir: string, sizes: readonly SpoolSize[]) {
    this.#dir = dir;
    this.#sizes = sizes.map(([bytes, samples]) => [bytes, samples]);
  }

  /** Cuts the spools in `dir` to `sizes` and removes any others. */
  static async open(dir: string, sizes: readonly SpoolSize[]): Promise<SpoolWriter> {
    await removeSpools(dir, (spool) => (sizes[spool]?.[0] ?? 0) > 0);
    for (const [spool, [bytes]] of sizes.entries()) if (bytes > 0) await truncate(spoolPath(dir, spool), bytes);
    return new SpoolWriter(dir, sizes);
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  add(spool: number, { members, resized }: SpooledSample): void {
    const header: RecordHeader = { resized, members: members.map(({ name, data }) => ({ name, size: data.length })) };
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(text.length);
    const parts = [length, text, ...members.map(({ data }) => data)];
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    while (this.#sizes.length <= spool) this.#sizes.push([0, 0]);
    const size = this.#sizes[spool] as [number, number];
    size[0] += bytes;
    size[1]++;
    this.#pendingBytes += bytes;
    const pending = this.#pending.get(spool);
    if (pending) pending.push(...parts);
    else this.#pending.set(spool, parts);
  }

  /** @returns the sizes of the spools, all of whose bytes are in their files */
  async flush(): Promise<SpoolSize[]> {
    for (const [spool, parts] of this.#pending) await appendFile(spoolPath(this.#dir, spool), Buffer.concat(parts));
    this.#pending.clear();
    this.#pendingBytes = 0;
    return this.#sizes.map(([bytes, samples]) => [bytes, samples]);
  }
}

/** Reads the samples of a spool whose ordinals `pick` gives, in that order; it is told how many there are. */
export async function* readSpool(
  dir: string,
  spool: number,
  pick: (samples: number) => Iterable<number>,
): AsyncGenerator<SpooledSample, void, undefined> {
  await using file = await open(spoolPath(dir, spool));
  const { size } = await file.stat();
  const read = async (start: number, bytes: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafeSlow(Math.min(bytes, size - start));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return buffer.subarray(0, bytesRead);
  };
  const readRecord = async (start: number): Promise<{ header: RecordHeader; content: number; end: number }> => {
    const head = await read(start, HEAD_BYTES);
    const content = start + LENGTH_BYTES + head.readUInt32LE();
    const text =
      content - start <= head.length
        ? head.subarray(LENGTH_BYTES, content - start)
        : (await read(start, content - start)).subarray(LENGTH_BYTES);
    const header = JSON.parse(text.toString()) as RecordHeader;
    return { header, content, end: header.members.reduce((sum, member) => sum + member.size, content) };
  };
  const starts: number[] = [];
  for (let at = 0; at < size;) {
    starts.push(at);
    at = (await readRecord(at)).end;
  }
  for (const ordinal of pick(starts.length)) {
    const { header, content, end } = await readRecord(starts[ordinal] as number);
    const bytes = await read(content, end - content);
    let at = 0;
    const members = header.members.map(({ name, size: length }) => ({ name, data: bytes.subarray(at, (at += length)) }));
    yield { members, resized: header.resized };
  }
}

/** Whether a spool holds what it should; what a killed run appended after that may follow. */
export async function hasSpool(dir: string, spool: number, [bytes]: SpoolSize): Promise<boolean> {
  return bytes === 0 || ((await stat(spoolPath(dir, spool)).catch(() => undefined))?.size ?? 0) >= bytes;
}

/** Removes the spools that `keep` does not want. */
export async function removeSpools(dir: string, keep: (spool: number) => boolean): Promise<void> {
  for (const name of await readdir(dir)) {
    const spool = /^spool-(\d+)\.tmp$/.exec(name)?.[1];
    if (spool !== undefined && !keep(Number(spool))) await rm(join(dir, name));
  }
}
