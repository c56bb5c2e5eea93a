/**
 * Samples -> tar shards. A shard is written beside its name as `NAME.tar.tmp` and renamed when it is whole, so a reader
 * never meets half of one; headers hold nothing of the machine or the moment, so the same samples give the same bytes.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { quoted } from '../../common/quoted.js';

/** One file of a sample, such as `000017.jpg`. Members with the same key must be added together. */
export interface ShardMember {
  readonly name: string;
  readonly data: Uint8Array;
}

export interface ShardWriterOptions {
  /** Folder of the shards; made when absent. */
  readonly dir: string;
  /** Shards are named `PREFIX-NUMBER.tar`. */
  readonly prefix: string;
  /** Samples in a shard; the last one may hold fewer. */
  readonly perShard: number;
  /** Digits of the number, padded with zeros. */
  readonly digits?: number;
}

export interface WrittenShard {
  readonly path: string;
  readonly samples: number;
  readonly bytes: number;
}

/** The folder already holds shards of the set that was to be written. */
export class ShardExistsError extends Error {
  override readonly name = 'ShardExistsError';
  constructor(readonly path: string) {
    super(
      `${quoted(path)} exists already: expected a folder without shards of this prefix; remove them, or choose another folder or prefix`,
    );
  }
}

/**
 * One shard in the making: `PATH.tmp` until `finish` gives it its name.
 *
 *     await using file = await ShardFile.create(path);
 *     await file.add(members);
 *     await file.finish();
 *
 * Disposing of one that was not finished removes it.
 */
export class ShardFile implements AsyncDisposable {
  readonly path: string;
  readonly #tar: Pack;
  /** Settles when the shard's bytes are in the file, or cannot be. */
  readonly #piped: Promise<void>;
  #samples = 0;
  #finished = false;

  private constructor(path: string, tar: Pack, piped: Promise<void>) {
    this.path = path;
    this.#tar = tar;
    this.#piped = piped;
  }

  /** An unfinished file of that name, left by a process that was killed, is overwritten. */
  static async create(path: string): Promise<ShardFile> {
    const file = await open(temporary(path), 'w');
    const tar = pack();
    const piped = pipeline(tar, file.createWriteStream());
    // The failure is met by whoever awaits `piped` next; until then it must not count as unhandled.
    piped.catch(() => undefined);
    return new ShardFile(path, tar, piped);
  }

  get samples(): number {
    return this.#samples;
  }

  /** Appends one sample: its members, in this order. Resolves when the bytes are on their way to the file. */
  async add(members: readonly ShardMember[]): Promise<void> {
    try {
      for (const { name, data } of members) await Promise.race([addEntry(this.#tar, name, data), this.#piped]);
    } catch (error) {
      // A tar whose file has failed says only that it was destroyed; the file says why.
      this.#tar.destroy();
      await this.#piped;
      throw error;
    }
    this.#samples++;
  }

  async finish(): Promise<WrittenShard> {
    this.#tar.finalize();
    await this.#piped;
    const { size } = await stat(temporary(this.path));
    await rename(temporary(this.path), this.path);
    this.#finished = true;
    return { path: this.path, samples: this.#samples, bytes: size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#finished) return;
    this.#tar.destroy();
    await this.#piped.catch(() => undefined);
    await rm(temporary(this.path), { force: true });
  }
}

/**
 * Writes samples into numbered shards, rolling over after `perShard` of them.
 *
 *     await using writer = await ShardWriter.open({ dir, prefix: 'train', perShard: 1000 });
 *     await writer.add([{ name: '000000.jpg', data: jpeg }, { name: '000000.cls', data: label }]);
 *     const shards = await writer.close();
 *
 * Disposing of a writer that was not closed removes the unfinished shard and keeps the whole ones.
 */
export class ShardWriter implements AsyncDisposable {
  readonly #options: Required<ShardWriterOptions>;
  readonly #written: WrittenShard[] = [];
  #open: ShardFile | undefined;

  private constructor(options: Required<ShardWriterOptions>) {
    this.#options = options;
  }

  /** @throws ShardExistsError when the folder holds a shard of this prefix */
  static async open({ digits = 6, ...options }: ShardWriterOptions): Promise<ShardWriter> {
    if (!Number.isInteger(options.perShard) || options.perShard < 1) {
      throw new RangeError(`perShard ${options.perShard}: expected a whole number of at least 1 sample`);
    }
    await mkdir(options.dir, { recursive: true });
    await refuseShards(options.dir, options.prefix);
    return new ShardWriter({ digits, ...options });
  }

  /** Appends one sample: its members, in this order. Resolves when the bytes are on their way to the file. */
  async add(members: readonly ShardMember[]): Promise<void> {
    const shard = (this.#open ??= await this.#start());
    await shard.add(members);
    if (shard.samples === this.#options.perShard) await this.#finish(shard);
  }

  /** Finishes the last shard. @returns every shard, in order */
  async close(): Promise<readonly WrittenShard[]> {
    if (this.#open) await this.#finish(this.#open);
    return this.#written;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.[Symbol.asyncDispose]();
    this.#open = undefined;
  }

  #start(): Promise<ShardFile> {
    const { dir, prefix, digits } = this.#options;
    return ShardFile.create(join(dir, shardName(prefix, this.#written.length, digits)));
  }

  async #finish(shard: ShardFile): Promise<void> {
    this.#written.push(await shard.finish());
    this.#open = undefined;
  }
}

/** @throws ShardExistsError when the folder holds a shard of this prefix, whatever its number: a mix of two sets reads as one */
export async function refuseShards(dir: string, prefix: string): Promise<void> {
  for (const name of (await readdir(dir)).toSorted()) {
    const number = name.startsWith(`${prefix}-`) ? name.slice(prefix.length + 1) : '';
    if (/^\d+\.tar$/.test(number)) throw new ShardExistsError(join(dir, name));
  }
}

/** `train-000017.tar` */
export function shardName(prefix: string, number: number, digits: number): string {
  return `${prefix}-${String(number).padStart(digits, '0')}.tar`;
}

/** The brace pattern that names shards 0..count-1, such as `train-{000..003}.tar`; of one shard, its name. */
export function shardPattern(prefix: string, count: number, digits: number): string {
  const number = (n: number): string => String(n).padStart(digits, '0');
  return count === 1 ? `${prefix}-${number(0)}.tar` : `${prefix}-{${number(0)}..${number(count - 1)}}.tar`;
}

function temporary(path: string): string {
  return `${path}.tmp`;
}

/** tar-stream calls back once the entry's bytes have left it, which is how the file holds the writer back. */
function addEntry(tar: Pack, name: string, data: Uint8Array): Promise<void> {
  const header = { name, type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) } as const;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return new Promise((resolve, reject) => {
    const entry = tar.entry({ ...header, size: bytes.length }, bytes, (error) => (error ? reject(error) : resolve()));
    entry.on('error', reject);
  });
}
