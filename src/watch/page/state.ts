/** What the page knows of the runs: the messages of the server, put together. */
import type { Message, RunHead, SeriesPart } from '../protocol.js';

export type XAxis = 'step' | 'epoch' | 'time';

/** A field's values by bin; null where a bin has none. */
export interface Values {
  mean: (number | null)[];
  low: (number | null)[] | undefined;
  high: (number | null)[] | undefined;
}

export class Points {
  steps: number[] = [];
  seconds: number[] = [];
  readonly columns = new Map<string, Values>();
  stride = 1;

  apply({ from, stride, steps, seconds, columns }: SeriesPart): void {
    this.stride = stride;
    const bins = from + steps.length;
    this.steps = [...this.steps.slice(0, from), ...steps];
    this.seconds = [...this.seconds.slice(0, from), ...seconds];
    for (const name of new Set([...this.columns.keys(), ...Object.keys(columns)])) {
      const old = this.columns.get(name);
      const given = columns[name];
      const join = (before: readonly (number | null)[] = [], after: readonly (number | null)[] = []) =>
        Array.from({ length: bins }, (_, bin) => (bin < from ? before[bin] : after[bin - from]) ?? null);
      const bounded = given?.low !== undefined || (stride > 1 && old?.low !== undefined);
      const values: Values = {
        mean: join(old?.mean, given?.mean),
        low: bounded ? join(old?.low, given?.low) : undefined,
        high: bounded ? join(old?.high, given?.high) : undefined,
      };
      if (values.mean.some((value) => value !== null)) this.columns.set(name, values);
      else this.columns.delete(name);
    }
  }

  latest(name: string): number | undefined {
    return this.columns.get(name)?.mean.findLast((value) => value !== null) ?? undefined;
  }
}

export class Run {
  head: RunHead;
  readonly updates = new Points();
  readonly evaluations = new Points();

  constructor(head: RunHead) {
    this.head = head;
  }

  get step(): number | undefined {
    return this.updates.steps.at(-1) ?? this.evaluations.steps.at(-1);
  }

  /** Places on the x axis: updates done, epochs done, or seconds since the first line. */
  xs(points: Points, axis: XAxis): number[] {
    if (axis === 'step') return points.steps;
    if (axis === 'time') return points.seconds;
    return points.steps.map((step) => this.#epochsAt(step));
  }

  /** A line between the first steps of two epochs. An epoch that goes on is taken to be as long as the one before; the first, as long as it is. */
  #epochsAt(step: number): number {
    const starts = this.head.epochStarts;
    let epoch = starts.findLastIndex((start) => start !== null && start <= step);
    if (epoch === -1) return 0;
    while (starts[epoch - 1] === starts[epoch]) epoch--;
    const start = starts[epoch] ?? 0;
    const before = starts[epoch - 1];
    const next = starts[epoch + 1];
    const last = this.updates.steps.at(-1) ?? step;
    const length = next != null ? next - start : before != null ? start - before : Math.max(1, last - start + 1);
    return epoch + Math.min(1, (step - start + 1) / Math.max(1, length));
  }
}

export class Runs {
  readonly #runs = new Map<number, Run>();
  problems: readonly string[] = [];
  /** The server's clock minus the page's, milliseconds. */
  clockMs = 0;

  get all(): readonly Run[] {
    return [...this.#runs.values()];
  }

  /** Of another connection: the server sends all that there is again, and may number runs otherwise. */
  clear(): void {
    this.#runs.clear();
  }

  apply(message: Message): void {
    if (message.type === 'points') {
      const run = this.#runs.get(message.run);
      if (message.updates) run?.updates.apply(message.updates);
      if (message.evaluations) run?.evaluations.apply(message.evaluations);
      return;
    }
    this.clockMs = message.nowMs - Date.now();
    this.problems = message.problems;
    for (const head of message.runs) {
      const run = this.#runs.get(head.id);
      if (run) run.head = head;
      else this.#runs.set(head.id, new Run(head));
    }
  }
}
