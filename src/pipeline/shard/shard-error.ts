import { identityOf, withoutSecrets } from '../source/identity.js';
import { printable } from '../../common/printable.js';

/** Bytes that are not a sound tar archive; the shard cannot be read further. */
export class ShardError extends Error {
  readonly location: string;
  /** Byte of the shard at which it stops making sense. */
  readonly offset: number;

  constructor(location: string, offset: number, problem: string, cause?: unknown) {
    const shown = identityOf(location);
    super(printable(`${shown}: ${withoutSecrets(problem)}`), { cause });
    this.name = 'ShardError';
    this.location = shown;
    this.offset = offset;
  }
}
