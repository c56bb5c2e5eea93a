/** One run directory as it is read again and again while somebody else writes it. Nothing in it is changed. */
import { readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../common/error-code.js';
import { isOptions, type Options } from '../common/options.js';
import { PIPELINE_DEFAULTS } from '../pipeline/defaults.js';
import { LineTail } from './line-tail.js';
import { MetricsLines } from './metrics-lines.js';
import type { RunHead } from './protocol.js';

/** Of `config.json`, by their paths there, in the order in which the page shows them. */
const FACTS = [
  'preset',
  'method.name',
  'method.arch',
  'engine',
  'precision',
  'batch',
  'epochs',
  'steps',
  'lr',
  'seed',
  'lanes',
  'shuffle',
] as const;

const STEP = /step-(\d+)$/;

export class WatchedRun {
  readonly metrics = new MetricsLines();
  readonly path: string;
  readonly #id: number;
  readonly #name: string;
  readonly #metricsFile: LineTail;
  readonly #badFile: LineTail;
  #head: Omit<RunHead, 'id' | 'name' | 'epochStarts' | 'unreadable'> = { facts: {}, badSamples: 0, read: 0 };

  constructor(id: number, name: string, path: string) {
    this.path = path;
    this.#id = id;
    this.#name = name;
    this.#metricsFile = new LineTail(join(path, 'metrics.jsonl'));
    this.#badFile = new LineTail(join(path, 'bad-samples.jsonl'));
  }

  get head(): RunHead {
    const { epochStarts, unreadable } = this.metrics;
    return { id: this.#id, name: this.#name, epochStarts, unreadable, ...this.#head };
  }

  /** Reads what is new, and some 4 MB of it at most. @returns whether there is more */
  async refresh(): Promise<boolean> {
    try {
      return await this.#read();
    } catch (error) {
      const problem = `${this.path} cannot be read (${error instanceof Error ? error.message : String(error)}).`;
      this.#head = { ...this.#head, problem };
      return false;
    }
  }

  get viewsPath(): string {
    return join(this.path, 'views.png');
  }

  async #read(): Promise<boolean> {
    if (!(await isFolder(this.path))) {
      this.#head = { ...this.#head, read: 1, problem: `${this.path} is gone: deleted or moved. What was read of it stays on this page.` };
      return false;
    }
    const metrics = await this.#metricsFile.read();
    if (metrics?.again) this.metrics.clear();
    for (const line of metrics?.lines ?? []) this.metrics.add(line);
    const bad = await this.#badFile.read();
    const badSamples = (bad === undefined || bad.again ? 0 : this.#head.badSamples) + (bad?.lines.length ?? 0);
    const { facts, problem } = await this.#facts();
    const checkpointStep = await this.#checkpointStep();
    const views = await stat(this.viewsPath).catch(() => undefined);
    const absent = metrics === undefined ? `${this.path} has no metrics.jsonl yet: the run has made no update, or it is no run.` : problem;
    this.#head = {
      facts,
      badSamples,
      read: metrics?.read ?? 1,
      ...(metrics && { writtenMs: metrics.writtenMs }),
      ...(checkpointStep !== undefined && { checkpointStep }),
      ...(views?.isFile() && { viewsMs: views.mtimeMs }),
      ...(absent !== undefined && { problem: absent }),
    };
    return (metrics?.read ?? 1) < 1 || (bad?.read ?? 1) < 1;
  }

  async #facts(): Promise<{ facts: RunHead['facts']; problem?: string }> {
    const path = join(this.path, 'config.json');
    try {
      // To read a pipe would wait for who writes to it.
      if (!(await stat(path)).isFile()) return { facts: {}, problem: `${path} is no file.` };
      const config: unknown = JSON.parse(await readFile(path, 'utf8'));
      if (isOptions(config)) return { facts: factsOf(config) };
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return { facts: {}, problem: `${this.path} has no config.json: it is no run, or not all of one.` };
      if (!(error instanceof SyntaxError)) throw error;
    }
    return { facts: {}, problem: `${path} is damaged: it holds no JSON object.` };
  }

  /** `last` is a link to the newest complete checkpoint. */
  async #checkpointStep(): Promise<number | undefined> {
    const target = await readlink(join(this.path, 'last')).catch(() => '');
    const found = STEP.exec(basename(target))?.[1];
    return found === undefined ? undefined : Number(found);
  }
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

function factsOf(config: Options): Record<string, string | number> {
  // The trainer leaves them at that.
  const facts: Record<string, string | number> = { slots: PIPELINE_DEFAULTS.slots };
  for (const path of FACTS) {
    const value = path.split('.').reduce<unknown>((outer, key) => (isOptions(outer) ? outer[key] : undefined), config);
    if (typeof value === 'string' || typeof value === 'number') facts[path] = value;
  }
  return facts;
}
