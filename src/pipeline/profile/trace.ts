/** Spans and queues in the trace event format of Chrome, which Perfetto opens. */
import { TASK } from './lane-meters.js';
import type { Span } from './meters.js';
import type { QueueSample } from './record.js';
import { STAGES, viewStage } from './stages.js';

/** An event of the format: `X` a span, `C` a counter, `M` a name. Times are in microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'C' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args?: Readonly<Record<string, string | number>>;
}

/** Chrome's trace event format, JSON object form. */
export interface Trace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
}

const PID = 1;
const CONSUMER = 1;
const TASKS: readonly string[] = Object.entries(TASK)
  .toSorted(([, a], [, b]) => a - b)
  .map(([name]) => name);

/** Spans of one thread id never overlap unless one lies in the other: each task of each lane has its own. */
function threadOf({ thread, track }: Span, workers: number): { readonly tid: number; readonly name: string } {
  if (thread === workers) return { tid: CONSUMER, name: 'consumer' };
  if (track < 0) return { tid: 10 + thread, name: `worker ${thread}` };
  const lane = Math.floor(track / TASKS.length);
  return { tid: 10 + workers + track, name: `worker ${thread} lane ${lane} ${TASKS[track % TASKS.length]}` };
}

/**
 * A trace in Chrome's trace event format, which ui.perfetto.dev opens.
 *
 * @param views names of the recipe's views, in its order
 */
export function chromeTrace(
  spans: readonly Span[],
  samples: readonly QueueSample[],
  { workers, views }: { readonly workers: number; readonly views: readonly string[] },
): Trace {
  const names = [...STAGES, ...views.map(viewStage)];
  // Not by Math.min(...): there are more spans than a call takes arguments.
  const begin = [...spans.map(({ startMs }) => startMs), ...samples.map(({ ms }) => ms)].reduce((a, b) => Math.min(a, b), Infinity);
  const micros = (ms: number): number => Math.round(1000 * ms * 1000) / 1000;
  const threads = new Map<number, string>([[CONSUMER, 'consumer']]);
  for (let worker = 0; worker < workers; worker++) threads.set(10 + worker, `worker ${worker}`);
  const timed: TraceEvent[] = spans.map((span) => {
    const { tid, name } = threadOf(span, workers);
    threads.set(tid, name);
    const stage = names[span.stage] ?? String(span.stage);
    const [ts, end] = [micros(span.startMs - begin), micros(span.startMs + span.durationMs - begin)];
    return { name: stage, cat: 'stage', ph: 'X', pid: PID, tid, ts, dur: micros((end - ts) / 1000) };
  });
  const counters: TraceEvent[] = samples.flatMap(({ ms, queues }) =>
    Object.entries(queues).map(([name, items]): TraceEvent => ({
      name: name === 'full' ? 'full batches' : `${name} samples`,
      ph: 'C',
      pid: PID,
      tid: CONSUMER,
      ts: micros(ms - begin),
      args: { items },
    })),
  );
  const named: TraceEvent[] = [
    { name: 'process_name', ph: 'M', pid: PID, tid: 0, ts: 0, args: { name: 'detco' } },
    ...[...threads]
      .toSorted(([a], [b]) => a - b)
      .flatMap(([tid, name]): TraceEvent[] => [
        { name: 'thread_name', ph: 'M', pid: PID, tid, ts: 0, args: { name } },
        { name: 'thread_sort_index', ph: 'M', pid: PID, tid, ts: 0, args: { sort_index: tid } },
      ]),
  ];
  // A span that begins with another and holds it comes first.
  const ordered = [...timed, ...counters].toSorted((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  return { traceEvents: [...named, ...ordered], displayTimeUnit: 'ms' };
}
