/** Why LibTorch's addon cannot be used here and what to do about it. */

export interface Unavailable {
  readonly reason: string;
  /** A command, or what to do in words. */
  readonly remedy: string;
}

export class TorchUnavailableError extends Error implements Unavailable {
  override readonly name = 'TorchUnavailableError';
  readonly reason: string;
  readonly remedy: string;

  constructor({ reason, remedy }: Unavailable, options?: ErrorOptions) {
    super(`${reason}; ${remedy}`, options);
    this.reason = reason;
    this.remedy = remedy;
  }
}

export const BUILD_COMMAND = 'npx detco engine build torch';

/** Debian and Ubuntu. OpenBLAS, because the reference BLAS that they install otherwise is 30 times slower. */
export const LIBTORCH_PACKAGES = ['libtorch-dev', 'libopenblas0-pthread'] as const;
export const TOOL_PACKAGES = { cmake: 'cmake', compiler: 'g++' } as const;

export function aptLine(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}

/** From nothing to a built engine, on Debian and Ubuntu. */
export const INSTALL_COMMAND = `${aptLine([...LIBTORCH_PACKAGES, ...Object.values(TOOL_PACKAGES)])} && ${BUILD_COMMAND}`;
