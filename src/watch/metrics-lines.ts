/** Lines of `metrics.jsonl`, as they come, as the series of a run. */
import { isOptions, type Options } from '../common/options.js';
import { Series } from './series.js';

/** What is the same for all fields of a line. */
const PLACE: ReadonlySet<string> = new Set(['step', 'epoch', 'timeMs']);

export class MetricsLines {
  readonly updates = new Series();
  readonly evaluations = new Series();
  epochStarts: (number | null)[] = [];
  unreadable = 0;
  /** Clock of the first line, Unix milliseconds. */
  #beganMs: number | undefined;

  add(text: string): void {
    const line = parsed(text);
    const step = line?.['step'];
    if (line === undefined || typeof step !== 'number' || !Number.isSafeInteger(step) || step < 0) {
      this.unreadable++;
      return;
    }
    const values: Record<string, number> = {};
    for (const name in line) if (!PLACE.has(name)) flatten(name, line[name], values);
    if ('loss' in line) this.#addUpdate(step, line, values);
    else {
      this.evaluations.cut(step);
      this.evaluations.add(step, this.#seconds(line, 0), values);
    }
  }

  clear(): void {
    this.updates.clear();
    this.evaluations.clear();
    this.epochStarts = [];
    this.unreadable = 0;
    this.#beganMs = undefined;
  }

  #addUpdate(step: number, line: Options, values: Record<string, number>): void {
    if (step <= this.updates.lastStep) {
      // Of a step the last line counts, and with it all evaluations that knew of this update go.
      this.updates.cut(step);
      this.evaluations.cut(step);
      this.epochStarts = this.epochStarts.filter((start) => start === null || start < step);
    }
    const { dataWaitMs = 0, stepMs = 0 } = values;
    const took = dataWaitMs + stepMs;
    if (took > 0) values['dataWaitShare'] = dataWaitMs / took;
    this.updates.add(step, this.#seconds(line, took), values);
    const epoch = line['epoch'];
    if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0 || epoch > 1e5) return;
    while (this.epochStarts.length < epoch) this.epochStarts.push(null);
    this.epochStarts[epoch] ??= step;
  }

  /** Since the first line: by the clock where lines have it, else by what updates took. */
  #seconds({ timeMs }: Options, tookMs: number): number {
    const before = Math.max(this.updates.seconds, this.evaluations.seconds);
    if (typeof timeMs !== 'number') return before + tookMs / 1000;
    this.#beganMs ??= timeMs - 1000 * before;
    // A clock that was put back must not turn a curve.
    return Math.max(before, (timeMs - this.#beganMs) / 1000);
  }
}

function parsed(text: string): Options | undefined {
  try {
    const line: unknown = JSON.parse(text);
    return isOptions(line) ? line : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers of a line by their paths: `{ terms: { 'gg.res4': 1 } }` has `terms.gg.res4`. */
function flatten(path: string, value: unknown, into: Record<string, number>): void {
  if (typeof value === 'number' && Number.isFinite(value)) into[path] = value;
  else if (isOptions(value)) for (const name in value) flatten(`${path}.${name}`, value[name], into);
}
