/** A file of weights that cannot be used; the message names the file, and what to do. */
export class WeightsError extends Error {
  override name = 'WeightsError';
  /** Of a path where nothing is: an argument that cannot be used. */
  readonly kind: 'missing' | 'unusable';

  constructor(message: string, { kind = 'unusable', ...options }: ErrorOptions & { readonly kind?: WeightsError['kind'] } = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** For `catch`: puts what it is about, such as the file, before what is wrong with it. */
export function about(subject: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof WeightsError ? new WeightsError(`${subject} ${error.message}`, { kind: error.kind, cause: error }) : error;
  };
}
