/** What every trace must be, for Perfetto to read it as it is meant. */
import { expect } from '@jest/globals';
import type { Trace, TraceEvent } from '#dist/pipeline/profile/index.js';

/** @returns names of the threads */
export function checkTrace({ traceEvents, displayTimeUnit }: Trace): string[] {
  expect(displayTimeUnit).toBe('ms');
  const named = traceEvents.filter(({ name }) => name === 'thread_name');
  const threads = new Map(named.map(({ tid, args }) => [tid, String(args?.['name'])]));
  expect(new Set(threads.values()).size).toBe(threads.size);
  let before = -Infinity;
  /** Ends of the spans that are open, by thread. */
  const open = new Map<number, number[]>();
  for (const event of traceEvents) {
    expect(Number.isFinite(event.ts) && event.ts >= 0).toBe(true);
    expect([event.pid, Number.isInteger(event.tid), event.name !== '']).toEqual([1, true, true]);
    if (event.ph === 'M') continue;
    expect(event.ts).toBeGreaterThanOrEqual(before);
    before = event.ts;
    if (event.ph === 'X') checkSpan(event, threads, open);
    else expect([event.ph, typeof event.args?.['items']]).toEqual(['C', 'number']);
  }
  return [...threads.values()];
}

/** A span lies on a named thread, and in every span of it that is still open. */
function checkSpan({ tid, ts, dur }: TraceEvent, threads: ReadonlyMap<number, string>, open: Map<number, number[]>): void {
  expect(threads.has(tid)).toBe(true);
  expect(dur).toBeGreaterThanOrEqual(0);
  const end = ts + (dur ?? 0);
  // Times are rounded to a nanosecond.
  const around = (open.get(tid) ?? []).filter((other) => other > ts + 0.002);
  for (const other of around) expect(end).toBeLessThanOrEqual(other + 0.002);
  open.set(tid, [...around, end]);
}
