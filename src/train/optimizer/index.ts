/** The optimizers. One is its file here, its options and its line in `createOptimizer`. */
import type { z } from 'zod';
import { kinds } from '../../common/kinds.js';
import type { Engine } from '../../engine/engine.js';
import type { ParameterGroup } from '../../model/index.js';
import { lars, larsSchema } from './lars.js';
import type { Optimizer } from './optimizer.js';
import { sgd, sgdSchema } from './sgd.js';

export type { Optimizer } from './optimizer.js';

export const optimizerSchema = kinds('optimizer', 'name', [sgdSchema, larsSchema]);
export type OptimizerOptions = Readonly<z.output<typeof optimizerSchema>>;

/** @param groups what it is to move */
export function createOptimizer(engine: Engine, groups: readonly ParameterGroup[], options: OptimizerOptions): Optimizer {
  return options.name === 'lars' ? lars(engine, groups, options) : sgd(engine, groups, options);
}
