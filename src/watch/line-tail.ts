/** New lines of a file that another process appends to, replaces or shortens. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { codeOf } from '../common/error-code.js';

const NEWLINE = 0x0a;
/** Read at once. A line that is longer is none. */
const CHUNK_BYTES = 4 << 20;

export interface NewLines {
  readonly lines: readonly string[];
  /** Whether the file is another one than before, or was shortened: these lines are its first. */
  readonly again: boolean;
  /** Share of the file that has been read, [0, 1]. */
  readonly read: number;
  /** When the file was last written, Unix milliseconds. */
  readonly writtenMs: number;
}

export class LineTail {
  readonly #path: string;
  #file = '';
  /** Where the first line begins that has not been given. */
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The lines that have been written since the last call, at most 4 MB of them. What has no newline yet is left for later.
   * @returns undefined while there is no such file
   */
  async read(): Promise<NewLines | undefined> {
    let file: FileHandle;
    try {
      // To open a pipe would wait for who writes to it.
      if (!(await stat(this.#path)).isFile()) throw new Error(`${this.#path} is no file`);
      file = await open(this.#path, 'r');
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
    try {
      const { dev, ino, birthtimeMs, size, mtimeMs } = await file.stat();
      // The number of a file that was deleted may be the next one's.
      const identity = `${dev}:${ino}:${birthtimeMs}`;
      const again = identity !== this.#file || size < this.#offset;
      if (again) this.#offset = 0;
      this.#file = identity;
      const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, size - this.#offset));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, this.#offset);
      const end = chunk.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
      // A line that fills the chunk is passed over: its pieces are no JSON.
      const taken = end === 0 && bytesRead === CHUNK_BYTES ? bytesRead : end;
      this.#offset += taken;
      const lines = taken === 0 ? [] : chunk.toString('utf8', 0, taken).split('\n');
      if (lines.at(-1) === '') lines.pop();
      return { lines, again, read: taken === 0 || size === 0 ? 1 : this.#offset / size, writtenMs: mtimeMs };
    } finally {
      await file.close();
    }
  }
}
