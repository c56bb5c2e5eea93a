/** How far work is, as one line that fits a terminal: a bar, and as many words as there is room for. */

/** Characters of the bar; a shorter one than the least tells nothing. */
const BAR_SIZE = 20;
const LEAST_BAR = 4;
/** Of a terminal that does not say. */
const COLUMNS = 80;

/** Fields of a state, which may be absent, as a text. */
export function joinFields(...fields: readonly (string | undefined)[]): string {
  return fields.filter((field) => field !== undefined).join('  ');
}

/**
 * The first text that fits, or else the beginning of the last, behind as much of a bar as there is room for.
 * @param texts of one state, the longest first
 * @param share of the work that is done, 0..1
 * @param columns of the terminal; 0 or undefined where it does not say
 */
export function barLine(texts: readonly string[], share: number, columns: number | undefined): string {
  // Not the last column: with lines that do not wrap the cursor stays on what is written there, and what clears the rest clears it.
  const room = (columns || COLUMNS) - 1;
  const text = texts.find(({ length }) => length <= room) ?? texts.at(-1)?.slice(0, room) ?? '';
  const size = Math.min(BAR_SIZE, room - text.length - 1);
  if (size < LEAST_BAR) return text;
  const done = Math.round(share * size);
  return `${'='.repeat(done)}${'-'.repeat(size - done)} ${text}`;
}
