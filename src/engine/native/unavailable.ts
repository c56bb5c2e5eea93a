/** Why an engine's addon cannot be used here and what to do about it. */

export interface Unavailable {
  readonly reason: string;
  /** A command, or what to do in words. */
  readonly remedy: string;
}

export class UnavailableError extends Error implements Unavailable {
  override readonly name = 'UnavailableError';
  readonly reason: string;
  readonly remedy: string;

  constructor({ reason, remedy }: Unavailable, options?: ErrorOptions) {
    super(`${reason}; ${remedy}`, options);
    this.reason = reason;
    this.remedy = remedy;
  }
}

/** Debian's and Ubuntu's. */
export function aptLine(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}
