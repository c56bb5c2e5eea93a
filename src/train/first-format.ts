/** What detco 0.1 left: it had one method, which it did not name, and one optimizer. Its runs go on. */
import type { TrainConfig } from './config.js';
import { FIRST_METHOD } from './format.js';

type Options = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Options {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The options of a `config.json`, of 0.1 or of this version, as this version has them. */
export function inThisFormat(saved: Options): Options {
  const { method } = saved;
  const options = withOptimizer(saved);
  const { optimizer } = options;
  return {
    ...options,
    ...(isObject(method) && { method: { name: FIRST_METHOD, ...method } }),
    ...(isObject(optimizer) && { optimizer: { name: 'sgd', ...optimizer } }),
  };
}

/** Options with those of 0.1 for its optimizer where they are now; of a config file, too. */
export function withOptimizer(options: Options): Options {
  const { sgdMomentum: momentum, weightDecay, ...rest } = options;
  if (momentum === undefined && weightDecay === undefined) return options;
  const given = { ...(momentum !== undefined && { momentum }), ...(weightDecay !== undefined && { weightDecay }) };
  return { ...rest, optimizer: { ...given, ...(isObject(rest['optimizer']) && rest['optimizer']) } };
}

/** Options as 0.1 had them, for what it computed of them. Those that it could not have are left as they are. */
export function inFirstFormat({ lrScaling, warmupEpochs, optimizer, method, ...rest }: Omit<TrainConfig, 'precision'>): Options {
  const { name, ...options } = method;
  return {
    ...rest,
    ...(lrScaling !== 'linear' && { lrScaling }),
    ...(warmupEpochs > 0 && { warmupEpochs }),
    method: name === FIRST_METHOD ? options : method,
    ...(optimizer.name === 'sgd' ? { sgdMomentum: optimizer.momentum, weightDecay: optimizer.weightDecay } : { optimizer }),
  };
}
