/**
 * `metrics.jsonl` of a run that goes on.
 *
 * A resumed run appends to the lines that are there, and what they have beyond its checkpoint stays until a checkpoint of its own is complete:
 *
 *     steps of the lines     1 2 3 4 5 6 | 5 6 7 8 |        resumed after step 4; a kill here loses nothing
 *     checkpoint of step 8   1 2 3 4 5 6 7 8                 `settleMetrics`: a line a step, the last that was written of each
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { appendFile, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';

/** Where a run goes on. */
export interface Resumption {
  /** Updates done. */
  readonly step: number;
  /** Bytes of the file that were there. */
  readonly bytes: number;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const NEWLINE = 0x0a;
/** Of the end of a file, in which its last line is looked for. */
const TAIL_BYTES = 1 << 16;

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends a file of lines with a whole one, so that another can follow: what a crash of the machine left of a line, which nobody can read, goes.
 *
 * @returns the bytes of the file; 0 when there is none
 */
export async function endLastLine(path: string): Promise<number> {
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size === 0) return 0;
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  const file = await open(path, 'r');
  try {
    await file.read(tail, 0, tail.length, size - tail.length);
  } finally {
    await file.close();
  }
  const begins = tail.lastIndexOf(NEWLINE) + 1;
  const rest = tail.length - begins;
  if (rest === 0) return size;
  if (rest === TAIL_BYTES || isJson(tail.toString('utf8', begins))) {
    await appendFile(path, '\n');
    return size + 1;
  }
  await truncate(path, size - rest);
  return size - rest;
}

/** The lines of a file with the bytes that they take, newline included. */
async function* ranges(path: string): AsyncGenerator<Range & { readonly text: string }> {
  let rest: Buffer = Buffer.alloc(0);
  let start = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      yield { start, end: start + end + 1 - from, text: bytes.toString('utf8', from, end) };
      start += end + 1 - from;
      from = end + 1;
    }
    rest = bytes.subarray(from);
  }
}

/** Orders lines: of a step its update, then its evaluation. NaN for what is no line of metrics. */
function place(text: string): number {
  try {
    const line = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return Number.isSafeInteger(line['step']) ? 2 * (line['step'] as number) + ('loss' in line ? 0 : 1) : NaN;
  } catch {
    return NaN;
  }
}

/** Byte ranges of the lines that stay, in the order of their steps. */
async function settled(path: string, { step, bytes }: Resumption): Promise<Range[]> {
  const kept = new Map<number, Range>();
  for await (const { start, end, text } of ranges(path)) {
    const at = place(text);
    const abandoned = start < bytes && at > 2 * step + 1;
    if (!Number.isNaN(at) && !abandoned) kept.set(at, { start, end });
  }
  const joined: Range[] = [];
  for (const at of [...kept.keys()].toSorted((a, b) => a - b)) {
    const range = kept.get(at) as Range;
    const before = joined.at(-1);
    if (before?.end === range.start) joined[joined.length - 1] = { start: before.start, end: range.end };
    else joined.push(range);
  }
  return joined;
}

/** The lines of a file up to `step`, of an update or an evaluation the last that was written, in the order of steps. */
export async function* linesUpTo(path: string, step: number): AsyncGenerator<unknown> {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  for (const { start, end } of await settled(path, { step, bytes: Infinity })) {
    const input = createReadStream(path, { start, end: end - 1 });
    for await (const line of createInterface({ input })) yield JSON.parse(line) as unknown;
  }
}

/** Leaves one line a step and an evaluation: the file is replaced at once, or not touched when there is nothing to remove. */
export async function settleMetrics(path: string, resumption: Resumption): Promise<void> {
  const kept = await settled(path, resumption);
  const bytes = kept.reduce((sum, { start, end }) => sum + end - start, 0);
  if (bytes === (await stat(path)).size) return;
  const partial = `${path}.partial`;
  const parts = async function* () {
    for (const { start, end } of kept) yield* createReadStream(path, { start, end: end - 1 });
  };
  try {
    await pipeline(parts, createWriteStream(partial, { flush: true }));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Updates up to `step` of which a file has a line; 0 when there is no file. */
export async function countUpdates(path: string, step: number): Promise<number> {
  const updates = new Set<number>();
  if ((await stat(path).catch(() => undefined)) === undefined) return 0;
  for await (const { text } of ranges(path)) {
    const at = place(text);
    if (at > 0 && at % 2 === 0 && at <= 2 * step) updates.add(at);
  }
  return updates.size;
}

/** The furthest step of the lines of a file; 0 when there are none. */
export async function furthestStep(path: string): Promise<number> {
  let furthest = 0;
  if ((await stat(path).catch(() => undefined)) === undefined) return furthest;
  for await (const { text } of ranges(path)) {
    const at = place(text);
    if (!Number.isNaN(at)) furthest = Math.max(furthest, Math.floor(at / 2));
  }
  return furthest;
}
