import { withoutSecrets } from '../pipeline/source/identity.js';

/** Options that cannot be used; the message quotes the value and says what was expected. */
export class OptionsError extends Error {
  override name = 'OptionsError';

  constructor(message: string, options?: ErrorOptions) {
    super(withoutSecrets(message), options);
  }
}
