/** Several processes that train one network, as they talk on the host: before there is an engine, and where no tensor passes. */

/** How long ranks wait for each other to start. */
export const MEETING_MS = 5 * 60_000;

/** Where a process stands among the others. */
export interface Place {
  readonly rank: number;
  readonly size: number;
  /** Which of the ranks of its machine: its GPU. */
  readonly localRank: number;
  /** Tells one attempt to train from the next, of which messages may be left. */
  readonly attempt: string;
}

/** Where ranks find each other, and which of them this process is. */
export interface CompanyPlace extends Place {
  /** Of rank 0, where the others find it. */
  readonly host: string;
  readonly port: number;
  /** Whether `detco train --ranks` started it: it is what starts as many again. */
  readonly byRanks?: boolean;
}

/** Plain data that all ranks exchange, in a store that rank 0 serves. */
export interface Company extends Place, AsyncDisposable {
  /** On how many machines they are. */
  readonly machines: number;
  /** As in `CompanyPlace`. */
  readonly byRanks: boolean;

  /** Ranks that may use the cores that this one may use, itself among them: a launcher may tie each to some of its own. */
  readonly sharers: number;

  /**
   * What each rank says, in rank order. All have to call this, the same number of times: it waits for the last.
   *
   * @param said plain data
   * @throws CompanyError where a rank has failed or is gone
   */
  exchange<T>(said: T): Promise<T[]>;

  /**
   * Why this rank cannot go on, for the user: what it has failed with, which the others are told, or what another has.
   *
   * @param error what it was stopped by: a rank that is gone looks like a connection that broke
   * @param remedy what to do where it was another
   */
  explain(error: unknown, remedy?: string): Promise<unknown>;
}

/** Why several ranks cannot go on together; where another rank has failed, by the name of its error. */
export class CompanyError extends Error {
  override name = 'CompanyError';
}
