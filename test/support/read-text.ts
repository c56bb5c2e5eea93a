/** Reads type back from a picture, by what each character of it looks like alone. */
import { ADVANCE, drawText, LINE } from '#dist/pipeline/preview/font.js';
import type { Pixels } from '#dist/pipeline/preview/canvas.js';

/** Darker than this is ink. */
const INK = 128;
const ROWS = 9;

const characters = new Map<string, string>();
for (let code = 33; code < 127; code++) {
  const character = String.fromCharCode(code);
  const set = new Set<string>();
  drawText(character, (x, y) => set.add(`${x},${y}`));
  characters.set([...set].toSorted().join(' '), character);
}
if (characters.size !== 94) throw new Error(`94 characters look like ${characters.size}`);

/** The line of text that begins at this corner, up to four spaces in a row. Throws at what is no character. */
export function readLine({ width, height, data }: Pixels, left: number, top: number): string {
  let text = '';
  for (let at = left; at + ADVANCE <= width; at += ADVANCE) {
    const set: string[] = [];
    for (let x = 0; x < ADVANCE - 1; x++)
      for (let y = 0; y < ROWS; y++) if (top + y < height && (data[3 * ((top + y) * width + at + x)] ?? 255) < INK) set.push(`${x},${y}`);
    const character = set.length === 0 ? ' ' : characters.get(set.toSorted().join(' '));
    if (character === undefined) throw new Error(`no character at ${at},${top} behind "${text}"`);
    text += character;
    if (text.endsWith('    ')) break;
  }
  return text.trimEnd();
}

/** The lines from this corner down to the first that is empty, or `most` of them; `columns` characters of each. */
export function readLines(pixels: Pixels, left: number, top: number, columns: number, most = Infinity): string[] {
  const clipped = (line: number) => cut(pixels, left + columns * ADVANCE, top + line * LINE, left);
  const lines: string[] = [];
  while (lines.length < most) {
    const text = clipped(lines.length);
    if (text === '') break;
    lines.push(text);
  }
  return lines;
}

function cut(pixels: Pixels, right: number, top: number, left: number): string {
  const width = right - left;
  const height = Math.max(0, Math.min(ROWS, pixels.height - top));
  const data = new Uint8Array(3 * width * height).fill(255);
  for (let y = 0; y < height; y++) {
    const from = 3 * ((top + y) * pixels.width + left);
    data.set(pixels.data.subarray(from, from + 3 * Math.min(width, pixels.width - left)), 3 * y * width);
  }
  return readLine({ width, height, data }, 0, 0);
}
