/** What the ranks of a run agree on between updates: where they stand, and whether to stop. */
import { shellWord } from '../common/shell-word.js';
import type { Company } from '../engine/company.js';
import { joinStates } from '../pipeline/index.js';
import type { PipelineState } from '../pipeline/batch/batch.js';
import { lastCheckpoint } from './run-checkpoints.js';

/** Why a run of several ranks stops on all of them. */
export class StopAgreed extends Error {
  override readonly name = 'StopAgreed';
}

/** Why all ranks end at the same place: each knows for itself. */
export class AllFailed extends Error {
  override readonly name = 'AllFailed';
}

/** What a rank says between updates. */
interface Said<T> {
  readonly stop: boolean;
  readonly value?: T;
}

/** What a command to go on with as many ranks needs besides. */
export function ranksAgain({ byRanks, size }: { readonly byRanks?: boolean; readonly size: number }): string {
  return byRanks ? ` --ranks ${size}` : '';
}

/**
 * What to end with where `error` stopped this rank, which may be that another is gone.
 * @param run undefined where it is not known yet
 */
export async function explained(error: unknown, company: Company, run: string | undefined): Promise<unknown> {
  if (run === undefined) return company.explain(error);
  const good = await lastCheckpoint(run);
  const remedy =
    good === undefined
      ? 'There is no checkpoint yet: start again'
      : `The last good checkpoint is ${good}; continue with npx detco train --resume ${shellWord(run)}${ranksAgain(company)}`;
  return company.explain(error, remedy);
}

export class Agreement {
  /** Whether this rank writes the run's folder, and evaluates. */
  readonly leads: boolean;
  readonly #company: Company;
  readonly #record: (lost: object) => unknown;
  /** Of another rank than the one that writes them: samples that were lost since it was told. */
  readonly #lost: object[] = [];

  /** @param record notes a sample that another rank has lost */
  constructor(company: Company, record: (lost: object) => unknown) {
    this.leads = company.rank === 0;
    this.#company = company;
    this.#record = record;
  }

  /** Notes a sample that this rank has lost. */
  lost(sample: object): void {
    if (this.leads) this.#record(sample);
    else this.#lost.push(sample);
  }

  /** The state of all ranks after the same step. */
  async joined(own: PipelineState | undefined): Promise<PipelineState | undefined> {
    const all = await this.#company.exchange({ state: own, lost: this.#lost.splice(0) });
    if (this.leads) for (const sample of all.slice(1).flatMap(({ lost }) => lost)) this.#record(sample);
    return own && joinStates(all.flatMap(({ state }) => state ?? []));
  }

  /** @see explained */
  explain(error: unknown, run: string): Promise<unknown> {
    return explained(error, this.#company, run);
  }

  /**
   * What each rank says, in rank order.
   * @throws StopAgreed where one wants to stop instead: by `orStop`, which the others need not call
   */
  async together<T>(value: T): Promise<T[]> {
    const all = await this.#company.exchange<Said<T>>({ stop: false, value });
    if (all.some(({ stop }) => stop)) throw new StopAgreed();
    return all.map((said) => said.value as T);
  }

  /** @throws StopAgreed where this rank wants to stop, or another does */
  async orStop(wish: boolean): Promise<void> {
    if ((await this.#company.exchange<Said<undefined>>({ stop: wish })).some(({ stop }) => stop)) throw new StopAgreed();
  }
}
