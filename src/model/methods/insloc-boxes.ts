/** The boxes of a step of InsLoc as its inputs: where the pipeline put each crop. */
import { tensor2d } from '@tensorflow/tfjs-core';
import { Random, streamId } from '../../common/random.js';
import type { NamedTensors } from '../../engine/engine.js';
import type { Ranks } from '../../engine/ranks.js';
import type { StepAt } from '../method.js';
import { anchors, type Corners, jittered } from '../network/anchors.js';

/**
 * Float32 [n, 4] of this rank's images, left, top, right and bottom, pixels:
 *
 *   boxesQ, boxesK   where the crops lie
 *   regionsQ         where the query looks: there too, or where `jitter` an anchor near by
 *
 * @throws TypeError where it is not known where a crop lies
 */
export function stepBoxes(seed: number, at: StepAt, { rank }: Pick<Ranks, 'rank'>, jitter: boolean): NamedTensors {
  const [query, key] = [boxesOf(at, 'foregroundQ'), boxesOf(at, 'foregroundK')];
  const number = (i: number): number => at.rows?.[rank * query.length + i] ?? rank * query.length + i;
  const grids = new Map<number, readonly Corners[]>();
  const regions = query.map(({ canvas, corners }, i) => {
    if (!jitter) return corners;
    const grid = grids.get(canvas) ?? anchors(canvas);
    grids.set(canvas, grid);
    return jittered(corners, grid, new Random(seed, streamId('boxJitter'), at.step, number(i)));
  });
  const tensor = (boxes: readonly Corners[]) => tensor2d(boxes.flat(), [boxes.length, 4], 'float32');
  return {
    boxesQ: tensor(query.map(({ corners }) => corners)),
    boxesK: tensor(key.map(({ corners }) => corners)),
    regionsQ: tensor(regions),
  };
}

function boxesOf({ samples }: StepAt, view: string): { readonly canvas: number; readonly corners: Corners }[] {
  const plans = samples?.plans[view] ?? [];
  if (plans.length === 0) throw new TypeError(`InsLoc needs to know where the crops of ${view} lie: at.samples.plans.${view} is missing`);
  return plans.map(({ placed }, i) => {
    if (!placed) throw new TypeError(`at.samples.plans.${view}[${i}] has no "placed": expected the box of a view of kind placed`);
    const { canvas, left, top, width, height } = placed;
    return { canvas, corners: [left, top, left + width, top + height] };
  });
}
