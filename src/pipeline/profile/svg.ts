/** What the figures of a report are drawn with. */

/** Text for HTML and SVG, attributes included. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

type Attributes = Readonly<Record<string, string | number>>;

export function element(name: string, attributes: Attributes, content = ''): string {
  const listed = Object.entries(attributes).map(([key, value]) => ` ${key}="${typeof value === 'number' ? short(value) : escaped(value)}"`);
  return `<${name}${listed.join('')}>${content}</${name}>`;
}

/** As precise as a screen is. */
export function short(value: number): string {
  return String(Math.round(10 * value) / 10);
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(content));
}

/** A figure; it shrinks with the page. */
export function figure(title: string, width: number, height: number, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">${content}</svg>`;
}

/** Round numbers from 0 that cover `most`, about `count` of them. */
export function ticks(most: number, count = 4): number[] {
  if (!(most > 0)) return [0];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The area between two lines over the same places. */
export function area(upper: readonly Point[], lower: readonly Point[], attributes: Attributes): string {
  const path = [...upper, ...lower.toReversed()].map(({ x, y }) => `${short(x)},${short(y)}`);
  return element('polygon', { points: path.join(' '), ...attributes });
}

export function line(points: readonly Point[], attributes: Attributes): string {
  return element('polyline', { points: points.map(({ x, y }) => `${short(x)},${short(y)}`).join(' '), fill: 'none', ...attributes });
}
