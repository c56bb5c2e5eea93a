/** What detco 0.1 left: it had one method, which it did not name, and one optimizer. Its runs go on. */
import type { TrainConfig } from './config.js';
import { FIRST_METHOD } from './format.js';

type Options = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Options {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The options of a `config.json`, of 0.1 or of this version, as this version has them. */
export function inThisFormat(saved: Options): Options {
  const { sgdMomentum, weightDecay, ...rest } = saved;
  const { method } = saved;
  const named = isObject(method) ? { method: { name: FIRST_METHOD, ...method } } : {};
  if (sgdMomentum === undefined) return { ...saved, ...named };
  return { ...rest, ...named, optimizer: { name: 'sgd', momentum: sgdMomentum, weightDecay } };
}

/** Options as 0.1 had them, for what it computed of them. Those that it could not have are left as they are. */
export function inFirstFormat({ lrScaling, optimizer, method, ...rest }: Omit<TrainConfig, 'precision'>): Options {
  const { name, ...options } = method;
  return {
    ...rest,
    ...(lrScaling !== 'linear' && { lrScaling }),
    method: name === FIRST_METHOD ? options : method,
    ...(optimizer.name === 'sgd' ? { sgdMomentum: optimizer.momentum, weightDecay: optimizer.weightDecay } : { optimizer }),
  };
}
