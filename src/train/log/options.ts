/** Which loggers a run writes for, besides its own `metrics.jsonl`. */
import { z } from 'zod';
import { expectedOneOf } from '../../common/nearest.js';

const LOGS = ['tensorboard'] as const;
type Log = (typeof LOGS)[number];

/** Loggers that people ask for, and that there are none of. */
const OTHERS: ReadonlySet<string> = new Set(['wandb', 'mlflow']);

/** Words that `--log` takes. */
export const LOG_NAMES = [...LOGS, 'none'] as const;

/** A list, or a text with commas, or `none`. */
export const logSchema = z.union([z.string(), z.array(z.string())]).transform((given, context): readonly Log[] => {
  const names = given === 'none' ? [] : typeof given === 'string' ? given.split(',') : given;
  const unknown = names.find((name) => !(LOGS as readonly string[]).includes(name));
  if (unknown !== undefined) {
    const message = OTHERS.has(unknown)
      ? `there is no logger for ${unknown}: give tensorboard, or send it the lines of metrics.jsonl by its Python package, as docs/metrics.md shows`
      : expectedOneOf(unknown, LOG_NAMES);
    context.addIssue({ code: 'custom', message });
  }
  return names as Log[];
});
