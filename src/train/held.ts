/** A file or folder that is kept open, to tell whether its path still names it. */
import { type BigIntStats, closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { codeOf } from '../common/error-code.js';

/** `gone`: moved or deleted; `replaced`: another is in its place. */
export type HeldState = 'there' | 'gone' | 'replaced';

function inodeOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

/** While it is open no other gets its inode number. */
export class Held {
  readonly path: string;
  readonly #inode: string;
  readonly #file: number | undefined;

  constructor(path: string) {
    this.path = path;
    // Windows opens no folders, and moves or deletes none in which a file is open.
    this.#file = process.platform === 'win32' ? undefined : openSync(path, 'r');
    this.#inode = inodeOf(this.#file === undefined ? statSync(path, { bigint: true }) : fstatSync(this.#file, { bigint: true }));
  }

  state(): HeldState {
    try {
      return inodeOf(statSync(this.path, { bigint: true })) === this.#inode ? 'there' : 'replaced';
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return 'gone';
      throw error;
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}
