/** What two views of an image both show, and where it lies in each: the inputs of methods that hold their patches against each other. */
import { tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../../engine/engine.js';
import type { DrawnView, StepAt } from '../method.js';

/** Left, top, right and bottom as shares of a view's side; of a mirrored view left is the greater. */
type Shares = readonly [left: number, top: number, right: number, bottom: number];

const WHOLE: Shares = [0, 0, 1, 1];

/**
 * Of this rank's images:
 *
 *   overlapQ, overlapK  [n, 4] float32, what both views show as shares of each; all of the view where they show nothing together
 *   sources             [n] int32, images whose views overlap, in turn: each is its own, and where there is none another stands in
 *
 * @throws TypeError where it is not known what the views were cut out of
 */
export function stepOverlaps({ samples }: StepAt, [query, key]: readonly [query: string, key: string]): NamedTensors {
  const [ofQuery, ofKey] = [drawn(samples, query), drawn(samples, key)];
  const shared = ofQuery.map((view, i) => overlap(view.box, (ofKey[i] as DrawnView).box));
  const overlapping = shared.flatMap((box, i) => (box ? [i] : []));
  const sources = shared.map((box, i) => (box ? i : (overlapping[i % overlapping.length] ?? i)));
  const corners = (views: readonly DrawnView[]) =>
    tensor2d(
      views.flatMap((view, i) => sharesOf(view, shared[i])),
      [views.length, 4],
    );
  return { overlapQ: corners(ofQuery), overlapK: corners(ofKey), sources: tensor1d(sources, 'int32') };
}

function drawn(samples: StepAt['samples'], view: string): readonly DrawnView[] {
  const plans = samples?.plans[view] ?? [];
  if (plans.length === 0)
    throw new TypeError(`It is not known what the view "${view}" was cut out of: expected at.samples.plans.${view}, a box an image`);
  return plans;
}

type Box = DrawnView['box'];

/** The part of the image that lies in both boxes. */
function overlap(a: Box, b: Box): Box | undefined {
  const [left, top] = [Math.max(a.left, b.left), Math.max(a.top, b.top)];
  const width = Math.min(a.left + a.width, b.left + b.width) - left;
  const height = Math.min(a.top + a.height, b.top + b.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

function sharesOf({ box, flipped }: DrawnView, shared: Box | undefined): Shares {
  if (!shared) return WHOLE;
  const [left, top] = [(shared.left - box.left) / box.width, (shared.top - box.top) / box.height];
  const [right, bottom] = [left + shared.width / box.width, top + shared.height / box.height];
  return flipped ? [1 - left, top, 1 - right, bottom] : [left, top, right, bottom];
}
