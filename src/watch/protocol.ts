/** What the server of `detco watch` sends to its page, as JSON in server-sent events. Both sides import this file, so it needs neither Node nor a browser. */

/** Means of a field over the lines of each bin, and the extremes where a bin has several lines. */
export interface Column {
  readonly mean: readonly (number | null)[];
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
}

/** The bins of a series from `from` on. They take the place of all that the page has from there, so that one may be sent twice. */
export interface SeriesPart {
  readonly from: number;
  /** Steps that a bin spans. */
  readonly stride: number;
  /** Last step of each bin. */
  readonly steps: readonly number[];
  /** Seconds since the first line of the run, pauses included where its lines have `timeMs`. */
  readonly seconds: readonly number[];
  /** By field, such as `loss` or `terms.gg.res4`. */
  readonly columns: Readonly<Record<string, Column>>;
}

/** Points that were added to a run, or changed. */
export interface PointsMessage {
  readonly type: 'points';
  /** `RunHead.id`. */
  readonly run: number;
  readonly updates?: SeriesPart;
  readonly evaluations?: SeriesPart;
}

/** What is known of a run besides its points. */
export interface RunHead {
  readonly id: number;
  readonly name: string;
  /** Options worth showing, from `config.json`, and the capacities of the queues that the options decide. */
  readonly facts: Readonly<Record<string, string | number>>;
  /** First step of each epoch that has begun, by epoch; null for one without lines. */
  readonly epochStarts: readonly (number | null)[];
  /** Updates of the checkpoint that the run would be resumed from. */
  readonly checkpointStep?: number;
  readonly badSamples: number;
  /** Lines of metrics that are no JSON objects with a step. */
  readonly unreadable: number;
  /** When metrics were last written, Unix milliseconds. */
  readonly writtenMs?: number;
  /** When `views.png` was written, Unix milliseconds. */
  readonly viewsMs?: number;
  /** Share of metrics.jsonl that has been read, [0, 1]. */
  readonly read: number;
  readonly problem?: string;
}

export interface RunsMessage {
  readonly type: 'runs';
  /** The server's clock, Unix milliseconds. */
  readonly nowMs: number;
  readonly runs: readonly RunHead[];
  /** What is wrong with the folders that were named, in words. */
  readonly problems: readonly string[];
}

export type Message = RunsMessage | PointsMessage;
