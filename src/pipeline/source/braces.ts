/**
 * Brace expansion as bash does it: `{000..146}` counts (up or down, zero padding kept), `{000..146..2}` in steps, `{a..e}`
 * walks letters, `{train,val}` lists, and all of them nest. Braces without `..` or a comma stay as they are.
 */

/** Above this a pattern is a slip of the keyboard, not a data set (ImageNet-21k has about 10^4 shards). */
const MAX_EXPANSIONS = 1_000_000;

/**
 * @returns every string the pattern stands for, in the order it names them
 * @throws RangeError for a brace that is not closed or a pattern of more than a million strings
 */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open === -1) return [pattern];
  const { close, parts } = split(pattern, open);
  const head = pattern.slice(0, open);
  const body = pattern.slice(open + 1, close);
  const middles =
    parts.length > 1 ? parts.flatMap((part) => expandBraces(part)) : (range(body) ?? expandBraces(body).map((text) => `{${text}}`));
  const tails = expandBraces(pattern.slice(close + 1));
  if (middles.length * tails.length > MAX_EXPANSIONS) throw tooMany(pattern);
  return middles.flatMap((middle) => tails.map((tail) => head + middle + tail));
}

/** The brace that closes the one at `open`, and what stands between its own commas. */
function split(pattern: string, open: number): { readonly close: number; readonly parts: string[] } {
  const parts: string[] = [];
  let depth = 0;
  let from = open + 1;
  for (let at = open; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === '{') depth++;
    if (char === '}') depth--;
    if ((char === ',' && depth === 1) || depth === 0) {
      parts.push(pattern.slice(from, at));
      from = at + 1;
    }
    if (depth === 0) return { close: at, parts };
  }
  throw new RangeError(
    `"${pattern}" opens a brace at character ${open + 1} and never closes it; expected for example shard-{000..146}.tar`,
  );
}

/** What `FIRST..LAST` or `FIRST..LAST..STEP` counts; undefined for a body that is no range. */
function range(body: string): string[] | undefined {
  const numbers = /^([+-]?\d+)\.\.([+-]?\d+)(?:\.\.([+-]?\d+))?$/.exec(body);
  if (numbers) {
    const [, first = '', last = '', step] = numbers;
    const padded = [first, last].some((text) => /^[+-]?0\d/.test(text));
    const width = padded ? Math.max(first.length, last.length) : 0;
    return walk(Number(first), Number(last), step, body).map((value) => {
      const digits = String(Math.abs(value));
      return value < 0 ? `-${digits.padStart(width - 1, '0')}` : digits.padStart(width, '0');
    });
  }
  const letters = /^([a-zA-Z])\.\.([a-zA-Z])(?:\.\.([+-]?\d+))?$/.exec(body);
  if (!letters) return undefined;
  const [, first = '', last = '', step] = letters;
  return walk(first.charCodeAt(0), last.charCodeAt(0), step, body).map((code) => String.fromCharCode(code));
}

/** Of a step bash takes the size alone: the ends say the direction, and 0 counts as 1. */
function walk(first: number, last: number, step: string | undefined, body: string): number[] {
  const size = Math.abs(Number(step ?? 1)) || 1;
  const length = Math.floor(Math.abs(last - first) / size) + 1;
  if (!(length <= MAX_EXPANSIONS)) throw tooMany(`{${body}}`);
  const stride = last < first ? -size : size;
  return Array.from({ length }, (_, i) => first + i * stride);
}

function tooMany(pattern: string): RangeError {
  return new RangeError(`"${pattern}" stands for more than ${MAX_EXPANSIONS} shards; expected a smaller range`);
}
