/**
 * A chart of one field, a curve a run. It is a slider to keyboards and screen readers: arrows move along the curves, and what lies there is read
 * out. Where a bin holds several lines, a band shows their extremes; where curves are smoothed, a faint one shows what they were.
 */
import uPlot from 'uplot';
import { lastAt, type Numbers, positive, smooth } from './curves.js';
import { element } from './dom.js';
import type { Field } from './fields.js';
import type { Settings } from './settings.js';

export interface Curve {
  readonly name: string;
  readonly colour: string;
  readonly xs: readonly number[];
  readonly mean: Numbers;
  readonly low: Numbers | undefined;
  readonly high: Numbers | undefined;
}

export interface XRange {
  readonly min: number;
  readonly max: number;
}

/** What all charts of a page share. */
export interface Shown {
  readonly settings: Settings;
  readonly xLabel: string;
  /** Behind an x where it is read out, and not at the axis. */
  readonly xUnit: string;
  readonly formatX: (x: number) => string;
  /** A stretch of x; all of it when undefined. */
  readonly range: XRange | undefined;
  readonly ink: string;
  readonly rule: string;
  /** Changes with all that needs another chart than the one that is there, such as colours. */
  readonly look: string;
}

const HEIGHT = 168;
const FONT = '11px ui-sans-serif, system-ui, sans-serif';
/** Steps of the arrow keys with Shift. */
const FAR = 10;

export class Chart {
  readonly root: HTMLElement;
  readonly #field: Field;
  readonly #onRange: (range: XRange | undefined) => void;
  readonly #values = element('ul', { class: 'values' });
  readonly #plotted = element('div', { class: 'plot', tabindex: '0', role: 'slider' });
  #plot: uPlot | undefined;
  #built = '';
  #curves: readonly Curve[] = [];
  #shown: Shown | undefined;
  /** Place of the cursor in x; undefined where there is none, and the latest values are shown. */
  #cursor: number | undefined;
  /** Whether keys have put it there: it is an x, and not where a pointer stands. */
  #keyed = false;

  constructor(field: Field, onRange: (range: XRange | undefined) => void) {
    this.#field = field;
    this.#onRange = onRange;
    this.root = element('figure', { class: 'chart' }, [
      element('figcaption', {}, [element('h3', { text: field.label }), this.#values]),
      this.#plotted,
    ]);
    this.#plotted.setAttribute('aria-label', field.label);
    if (field.meanings.length > 0) {
      const [id, text] = [`meaning-${field.kind}-${field.name}`, field.meanings.join('; ')];
      // Read out with the chart; the section says it to the eye.
      this.root.append(element('p', { id, text, hidden: '' }));
      this.#plotted.setAttribute('aria-describedby', id);
    }
    this.#plotted.addEventListener('keydown', (event) => this.#onKey(event));
    this.#plotted.addEventListener('blur', () => this.#moveTo(undefined));
    new ResizeObserver(() => this.#plot?.setSize({ width: this.#plotted.clientWidth, height: HEIGHT })).observe(this.#plotted);
  }

  draw(curves: readonly Curve[], shown: Shown): void {
    this.#curves = curves;
    this.#shown = shown;
    const { settings, range } = shown;
    const banded = curves.map(({ low, high }) => low !== undefined && high !== undefined);
    const built = JSON.stringify([shown.look, settings.log, settings.smoothing > 0, curves.map(({ name }) => name), banded]);
    const data = tableOf(curves, settings);
    if (built !== this.#built) this.#build(built, data, shown);
    else this.#plot?.setData(data, false);
    const xs = data[0];
    const [min = 0, max = 1] = range ? [range.min, range.max] : [xs[0], xs.at(-1)];
    this.#plot?.setScale('x', { min, max: max > min ? max : min + 1 });
    if (this.#keyed) this.#placeCursor();
    this.#tell();
  }

  remove(): void {
    this.#plot?.destroy();
    this.root.remove();
  }

  #build(built: string, data: uPlot.AlignedData, shown: Shown): void {
    this.#built = built;
    this.#plot?.destroy();
    const { ink, rule, settings, formatX } = shown;
    const axis = { stroke: ink, font: FONT, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const { colour, low } of this.#curves) {
      series.push({ stroke: colour, width: 1.5, spanGaps: true, points: { size: 5, fill: colour } });
      if (settings.smoothing > 0) series.push({ stroke: `${colour}55`, width: 1, spanGaps: true, points: { show: false } });
      if (low === undefined) continue;
      series.push(
        { stroke: 'transparent', spanGaps: true, points: { show: false } },
        { stroke: 'transparent', spanGaps: true, points: { show: false } },
      );
      bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour}2e` });
    }
    this.#plot = new uPlot(
      {
        width: Math.max(120, this.#plotted.clientWidth),
        height: HEIGHT,
        padding: [8, 22, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: 'x' }, drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
        scales: { x: { time: false, auto: false }, y: { distr: settings.log ? 3 : 1 } },
        axes: [
          { ...axis, size: 26, gap: 2, space: 60, values: (_, ticks) => ticks.map(formatX) },
          {
            ...axis,
            size: 54,
            gap: 4,
            space: 34,
            values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : this.#field.format(tick))),
          },
        ],
        series,
        bands,
        hooks: {
          setCursor: [({ cursor, posToVal }) => this.#onPointer(cursor.left, posToVal)],
          setSelect: [(plot) => this.#onSelect(plot)],
        },
      },
      data,
      this.#plotted,
    );
    // It would be a second picture of the same to a screen reader.
    this.#plot.root.setAttribute('aria-hidden', 'true');
    this.#plot.over.addEventListener('dblclick', () => this.#onRange(undefined));
    this.#plot.over.addEventListener('mousemove', () => (this.#keyed = false));
  }

  #onPointer(left: number | undefined, toValue: uPlot['posToVal']): void {
    if (this.#keyed) return;
    this.#cursor = left === undefined || left < 0 ? undefined : toValue(left, 'x');
    this.#tell();
  }

  #onSelect(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range = { min: plot.posToVal(left, 'x'), max: plot.posToVal(left + width, 'x') };
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#onRange(range);
  }

  #onKey(event: KeyboardEvent): void {
    const xs = this.#plot?.data[0] ?? [];
    const last = xs.length - 1;
    const index = this.#index(xs);
    const step = event.shiftKey ? FAR : 1;
    const to = { ArrowLeft: index - step, ArrowDown: index - step, ArrowRight: index + step, ArrowUp: index + step, Home: 0, End: last }[
      event.key
    ];
    if (to === undefined || last < 0) return this.#onZoomKey(event, xs);
    event.preventDefault();
    this.#moveTo(xs[Math.max(0, Math.min(last, to))]);
  }

  /** + and - around the cursor, 0 for all. */
  #onZoomKey(event: KeyboardEvent, xs: ArrayLike<number>): void {
    const factor = { '+': 0.5, '=': 0.5, '-': 2 }[event.key];
    if (event.key === '0' || event.key === 'Escape') this.#onRange(undefined);
    else if (factor !== undefined && xs.length > 1) {
      const { min = 0, max = 1 } = this.#plot?.scales['x'] ?? {};
      const at = this.#cursor ?? max;
      this.#onRange({ min: at - (at - min) * factor, max: at + (max - at) * factor });
    }
  }

  #moveTo(x: number | undefined): void {
    this.#cursor = x;
    this.#keyed = x !== undefined;
    this.#placeCursor();
    this.#tell();
  }

  #placeCursor(): void {
    const left = this.#cursor === undefined ? -10 : (this.#plot?.valToPos(this.#cursor, 'x') ?? -10);
    this.#plot?.setCursor({ left, top: left < 0 ? -10 : 10 }, false);
  }

  /** Of the last x at or before the cursor. */
  #index(xs: ArrayLike<number>): number {
    return this.#cursor === undefined ? xs.length - 1 : indexAt(xs, this.#cursor);
  }

  /** Values at the cursor, else the latest, above the chart and as the slider's value. */
  #tell(): void {
    const shown = this.#shown;
    if (!shown) return;
    const { settings, xLabel, xUnit, formatX } = shown;
    const x = this.#cursor;
    const found = this.#curves.map(({ name, colour, xs, mean }) => {
      const values = smooth(mean, settings.smoothing);
      const value = lastAt(values, x === undefined ? xs.length - 1 : indexAt(xs, x));
      return { name, colour, text: value === undefined ? '–' : this.#field.format(value) };
    });
    this.#values.replaceChildren(
      ...found.map(({ name, colour, text }) => {
        const item = element('li', { title: name }, [element('i'), element('span', { text })]);
        item.style.setProperty('--colour', colour);
        return item;
      }),
    );
    const ends = this.#curves.map(({ xs }) => xs.at(-1) ?? 0);
    const at = x ?? Math.max(0, ...ends);
    const words = found.map(({ name, text }) => `${name} ${text}`).join(', ');
    for (const [attribute, value] of Object.entries({
      'aria-valuemin': String(Math.min(0, at)),
      'aria-valuemax': String(Math.max(at, ...ends)),
      'aria-valuenow': String(at),
      'aria-valuetext': `${xLabel} ${formatX(at)}${xUnit}: ${words || 'nothing yet'}`,
    }))
      if (this.#plotted.getAttribute(attribute) !== value) this.#plotted.setAttribute(attribute, value);
  }
}

/** Index of the last of ascending `xs` at or before `x`; 0 where there is none. */
function indexAt(xs: ArrayLike<number>, x: number): number {
  let [low, high] = [0, xs.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((xs[middle] as number) <= x) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** One column of x for all curves, and theirs beside it: of each the smoothed, what it was if it is smoothed, its extremes if there are any. */
function tableOf(curves: readonly Curve[], { smoothing, log }: Settings): uPlot.AlignedData {
  const scaled = (values: Numbers) => [...(log ? positive(values) : values)];
  const tables = curves.map(({ xs, mean, low, high }): uPlot.AlignedData => {
    const columns = [smooth(mean, smoothing), ...(smoothing > 0 ? [mean] : []), ...(low && high ? [high, low] : [])];
    return [[...xs], ...columns.map(scaled)];
  });
  return tables.length === 0 ? [[]] : uPlot.join(tables);
}
