/** The options of a run that choose its engine and start it. */
import { z } from 'zod';
import { oneOf } from '../common/one-of.js';
import { optionFlags } from '../common/option-flags.js';
import { ENGINE_NAMES, PRECISIONS } from './engine.js';
import { MOST_THREADS } from './threads.js';

export const engineShape = {
  engine: oneOf(['auto', ...ENGINE_NAMES])
    .default('auto')
    .register(optionFlags, {
      flag: '--engine <name>',
      help: 'auto, wasm, tensorflow or torch (default auto)',
    }),
  /** What convolutions and matrix products compute in. */
  precision: oneOf(PRECISIONS).default('fp32').register(optionFlags, {
    flag: '--precision <name>',
    help: 'fp32, tf32 or bf16: what convolutions and matrix products compute in (default fp32)',
  }),
  /** `auto`, `cpu`, `cuda`, or one of several GPUs: `cuda:1`. */
  device: z.string().min(1).default('auto').register(optionFlags, {
    flag: '--device <name>',
    help: 'auto, cpu, cuda or cuda:N (default auto: the best the engine finds)',
  }),
  /** Threads of the engine's CPU kernels; by default the engine's choice. */
  threads: z.int().min(1).optional().register(optionFlags, {
    flag: '--threads <n>',
    help: "threads of the engine's CPU kernels (default: the cores; 1 with wasm)",
    example: '2',
    most: MOST_THREADS,
  }),
};
