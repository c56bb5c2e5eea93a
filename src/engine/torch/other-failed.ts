/** What ranks tell each other of one that cannot go on. */
import { CompanyError } from '../company.js';

export interface Failure {
  readonly rank: number;
  readonly host: string;
  readonly reason: string;
  /** Of the error; absent where the rank is gone. */
  readonly name?: string;
}

/** That another rank cannot go on, for a reason that all know. */
export class OtherFailed extends CompanyError {
  /** Whether the user is told all of it: what a rank fails with says what to do. */
  explained: boolean;

  constructor({ rank, host, reason, name }: Failure, options?: ErrorOptions) {
    super(`rank ${rank} on ${host} ${name === undefined ? reason : `cannot go on: ${reason}`}`, options);
    this.name = name ?? this.name;
    this.explained = name !== undefined;
  }

  withRemedy(remedy: string): this {
    this.message = [this.message, remedy].filter(Boolean).join('. ');
    this.explained = true;
    return this;
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
