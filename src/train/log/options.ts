/** Which loggers a run writes for, besides its own `metrics.jsonl`. */
import { z } from 'zod';
import { expectedOneOf } from '../../common/nearest.js';

const LOGS = ['tensorboard'] as const;
type Log = (typeof LOGS)[number];

/** Loggers that are asked for and not there, and the way to them. */
const OTHERS: Readonly<Record<string, string>> = {
  wandb: 'give tensorboard and call wandb.init(sync_tensorboard=True) or wandb sync on RUN/tensorboard, or send the lines of metrics.jsonl',
  mlflow: 'give tensorboard, or send the lines of metrics.jsonl with mlflow.log_metrics',
};

/** A list, or a text with commas. */
export const logSchema = z.union([z.string(), z.array(z.string())]).transform((given, context): readonly Log[] => {
  const names = typeof given === 'string' ? given.split(',') : given;
  const unknown = names.find((name) => !(LOGS as readonly string[]).includes(name));
  if (unknown !== undefined) {
    const other = Object.hasOwn(OTHERS, unknown) ? OTHERS[unknown] : undefined;
    const message = other === undefined ? expectedOneOf(unknown, LOGS) : `there is no logger for it; ${other} (docs/metrics.md)`;
    context.addIssue({ code: 'custom', message });
  }
  return names as Log[];
});
