/** The optimizers. One is its file here, its options and its line in `createOptimizer`. */
import type { Variable } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine } from '../../engine/engine.js';
import { lars, larsSchema } from './lars.js';
import type { Optimizer } from './optimizer.js';
import { sgd, sgdSchema } from './sgd.js';

export type { Optimizer } from './optimizer.js';

export const optimizerSchema = z.discriminatedUnion('name', [sgdSchema, larsSchema]);
export type OptimizerOptions = Readonly<z.output<typeof optimizerSchema>>;

/** @param parameters what it is to move */
export function createOptimizer(engine: Engine, parameters: ReadonlyMap<string, Variable>, options: OptimizerOptions): Optimizer {
  return options.name === 'lars' ? lars(engine, parameters, options) : sgd(engine, parameters, options);
}
