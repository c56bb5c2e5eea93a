/** The runs of the folders that were named: each is a run, or holds runs, and new ones may come. */
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { holdsRun } from '../train/run-directory.js';
import type { RunHead } from './protocol.js';
import { isFolder, WatchedRun } from './watched-run.js';

/** Folders are looked through for new runs so often. */
const LOOK_MS = 2000;

export class WatchedRuns {
  readonly #folders: readonly string[];
  readonly #runs = new Map<string, WatchedRun>();
  #problems: readonly string[] = [];
  #lookedAt = -Infinity;

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  get runs(): readonly WatchedRun[] {
    return [...this.#runs.values()];
  }

  get heads(): readonly RunHead[] {
    return this.runs.map(({ head }) => head);
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  /** @returns whether there is more to read at once */
  async refresh(): Promise<boolean> {
    if (performance.now() - this.#lookedAt >= LOOK_MS) {
      const unreadable = (folder: string) => (error: unknown) =>
        `${folder} cannot be read (${error instanceof Error ? error.message : String(error)}).`;
      const problems = await Promise.all(this.#folders.map((folder) => this.#look(folder).catch(unreadable(folder))));
      this.#problems = problems.filter((problem) => problem !== undefined);
      this.#lookedAt = performance.now();
    }
    let more = false;
    for (const run of this.runs) more = (await run.refresh()) || more;
    return more;
  }

  /** Finds the runs of a folder. @returns why there are none */
  async #look(folder: string): Promise<string | undefined> {
    if (this.#runs.has(resolve(folder))) return undefined;
    if (await holdsRun(folder)) {
      this.#add(folder, basename(resolve(folder)));
      return undefined;
    }
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    let found = false;
    for (const { name } of entries.toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))) {
      const path = join(folder, name);
      if (!(await isFolder(path)) || !(await holdsRun(path).catch(() => false))) continue;
      this.#add(path, name);
      found = true;
    }
    if (found || this.runs.some(({ path }) => resolve(path, '..') === resolve(folder))) return undefined;
    if (!(await isFolder(folder))) return `${folder} is not there: the page shows its runs as soon as it is.`;
    return `${folder} is no run and holds none: the page shows the first as soon as it is there.`;
  }

  #add(path: string, name: string): void {
    const key = resolve(path);
    if (this.#runs.has(key)) return;
    const taken = this.heads.some((head) => head.name === name);
    this.#runs.set(key, new WatchedRun(this.#runs.size, taken ? path : name, path));
  }
}
