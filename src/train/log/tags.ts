/** What TensorBoard calls the numbers of a line of `metrics.jsonl`. */
import type { EvaluationMetrics, StepMetrics } from '../metrics.js';

/**
 * The numbers of a line by tag, which is the field's name: `loss`, `terms/gg.res4`. Those of an evaluation are behind `evaluation/`, for some
 * have the name of an update's. `step` and `timeMs` say when, and have no tag.
 */
export function taggedNumbers({ step: _step, timeMs: _time, ...line }: StepMetrics | EvaluationMetrics): Record<string, number> {
  const prefix = 'loss' in line ? '' : 'evaluation/';
  const tagged = Object.entries(line).flatMap(([name, value]: [string, number | Readonly<Record<string, number>>]): [string, number][] =>
    typeof value === 'number'
      ? [[`${prefix}${name}`, value]]
      : Object.entries(value).map(([inner, number]) => [`${prefix}${name}/${inner}`, number]),
  );
  return Object.fromEntries(tagged);
}
