/**
 * The lines of a run as points of curves, of which there are never more than a page can draw: neighbours share a bin, and when there are too many
 * bins, each takes twice as many steps. A bin keeps mean, minimum and maximum of each field, so that a spike stays visible.
 */
import type { Column, SeriesPart } from './protocol.js';

/** Half of it is left after bins were put together; a wide screen has about 4000 pixels. */
const MOST_BINS = 4096;
/** Digits that a curve can show. */
const DIGITS = 6;

interface Summary {
  count: number;
  sum: number;
  low: number;
  high: number;
}

interface Bin {
  step: number;
  seconds: number;
  readonly fields: Map<string, Summary>;
  /** When it was last changed, on the series' own count. */
  revision: number;
}

/** How much of a series somebody has. */
export interface Cursor {
  readonly generation: number;
  readonly revision: number;
}

export class Series {
  #bins: Bin[] = [];
  #stride = 1;
  /** Counts the times that all bins became others. */
  #generation = 0;
  #revision = 0;

  get cursor(): Cursor {
    return { generation: this.#generation, revision: this.#revision };
  }

  get lastStep(): number {
    return this.#bins.at(-1)?.step ?? -1;
  }

  /** Seconds of the last line. */
  get seconds(): number {
    return this.#bins.at(-1)?.seconds ?? 0;
  }

  /** Steps must not go back: `cut` first where they do. */
  add(step: number, seconds: number, values: Readonly<Record<string, number>>): void {
    let bin = this.#bins.at(-1);
    if (bin === undefined || this.#binOf(bin.step) !== this.#binOf(step)) {
      bin = { step, seconds, fields: new Map(), revision: 0 };
      this.#bins.push(bin);
    }
    Object.assign(bin, { step, seconds, revision: ++this.#revision });
    for (const field in values) {
      const value = values[field] as number;
      merge(bin.fields, field, 1, value, value, value);
    }
    if (this.#bins.length > MOST_BINS) this.#widen();
  }

  /** Forgets the bins of `step` and of what came after it: a resumed run makes these steps again. */
  cut(step: number): void {
    const from = this.#bins.findIndex((bin) => this.#binOf(bin.step) >= this.#binOf(step));
    if (from === -1) return;
    this.#bins.length = from;
    this.#revision++;
  }

  clear(): void {
    this.#bins = [];
    this.#stride = 1;
    this.#generation++;
    this.#revision++;
  }

  /** What has changed since `known`; undefined when nothing has. */
  since(known: Cursor | undefined): SeriesPart | undefined {
    if (known?.generation === this.#generation && known.revision === this.#revision) return undefined;
    let from = 0;
    if (known?.generation === this.#generation) {
      from = this.#bins.length;
      while (from > 0 && (this.#bins[from - 1] as Bin).revision > known.revision) from--;
    }
    const bins = this.#bins.slice(from);
    const names = new Set(bins.flatMap(({ fields }) => [...fields.keys()]));
    return {
      from,
      stride: this.#stride,
      steps: bins.map(({ step }) => step),
      seconds: bins.map(({ seconds }) => rounded(seconds)),
      columns: Object.fromEntries([...names].map((name) => [name, this.#column(bins, name)])),
    };
  }

  #column(bins: readonly Bin[], name: string): Column {
    const of = (pick: (summary: Summary) => number) =>
      bins.map(({ fields }) => {
        const summary = fields.get(name);
        return summary === undefined ? null : rounded(pick(summary));
      });
    const mean = of(({ sum, count }) => sum / count);
    return this.#stride === 1 ? { mean } : { mean, low: of(({ low }) => low), high: of(({ high }) => high) };
  }

  #binOf(step: number): number {
    return Math.floor(step / this.#stride);
  }

  #widen(): void {
    const fine = this.#bins;
    this.#stride *= 2;
    this.#bins = [];
    for (const bin of fine) {
      const last = this.#bins.at(-1);
      if (last === undefined || this.#binOf(last.step) !== this.#binOf(bin.step)) this.#bins.push(bin);
      else {
        Object.assign(last, { step: bin.step, seconds: bin.seconds, revision: bin.revision });
        for (const [field, { count, sum, low, high }] of bin.fields) merge(last.fields, field, count, sum, low, high);
      }
    }
    this.#generation++;
  }
}

/** By numbers, not a summary: this is called some twenty times a line. */
function merge(fields: Map<string, Summary>, field: string, count: number, sum: number, low: number, high: number): void {
  const summary = fields.get(field);
  if (summary === undefined) {
    fields.set(field, { count, sum, low, high });
    return;
  }
  summary.count += count;
  summary.sum += sum;
  if (low < summary.low) summary.low = low;
  if (high > summary.high) summary.high = high;
}

/** To the digits that a curve can show. Ten times as fast as `toPrecision`, which counts for 300,000 numbers. */
function rounded(value: number): number {
  if (value === 0 || Math.abs(value) >= 10 ** DIGITS) return Math.round(value);
  const scale = 10 ** (DIGITS - 1 - Math.floor(Math.log10(Math.abs(value))));
  return Number.isFinite(scale) ? Math.round(value * scale) / scale : 0;
}
