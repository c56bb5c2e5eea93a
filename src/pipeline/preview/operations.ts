/** Every operation that a picture may go through, over the range it is drawn from. */
import type { Step } from '../augment/parameters.js';
import { MAX_MAGNITUDE, OPERATIONS as RAND_AUGMENT } from '../augment/randaugment.js';
import { GLOBAL_SIZE } from '../augment/recipes.js';

/** One point of the range. */
export interface OperationPoint {
  /** Nothing is done where it is absent. */
  readonly step?: Step;
  /** Of RandAugment, out of 10; below zero for the other sign. */
  readonly magnitude?: number;
}

/** For views of `side` pixels: blur grows with them. */
type Range = (side: number) => readonly OperationPoint[];

const POINTS = 11;

function evenly(low: number, high: number): number[] {
  return Array.from({ length: POINTS }, (_, i) => low + ((high - low) * i) / (POINTS - 1));
}

/** Standard deviations of MoCo v2 in views of 224 pixels. */
const BLUR = [0.1, 2] as const;

/** Whole turns are beyond what recipes draw: 0.5 is the most that a hue can be turned. */
const HUE = 0.5;

const onOff =
  (step: Step): Range =>
  () => [{}, { step }];

const OTHERS: readonly (readonly [string, Range])[] = [
  ['hue', () => evenly(-HUE, HUE).map((shift) => ({ step: { op: 'hue', shift } }))],
  ['grayscale', onOff({ op: 'grayscale' })],
  [
    'gaussianBlur',
    (side) => evenly(BLUR[0], BLUR[1]).map((sigma) => ({ step: { op: 'gaussianBlur', sigma: (sigma * side) / GLOBAL_SIZE } })),
  ],
  ['horizontalFlip', onOff({ op: 'horizontalFlip' })],
  ['lab', onOff({ op: 'lab' })],
];

type Draw = (typeof RAND_AUGMENT)[number];

function randAugmentRange(draw: Draw): Range {
  const at = (magnitude: number): OperationPoint => ({
    step: draw(Math.abs(magnitude) / MAX_MAGNITUDE, () => Math.sign(magnitude) || 1),
    magnitude,
  });
  const most = JSON.stringify(at(MAX_MAGNITUDE).step);
  const signed = JSON.stringify(at(-MAX_MAGNITUDE).step) !== most;
  if (JSON.stringify(at(0).step) === most) return onOff(draw(1, () => 1));
  return () => evenly(signed ? -MAX_MAGNITUDE : 0, MAX_MAGNITUDE).map(at);
}

const RANGES: ReadonlyMap<string, Range> = new Map([
  ...OTHERS,
  ...RAND_AUGMENT.map((draw) => [draw(1, () => 1).op, randAugmentRange(draw)] as const),
]);

export const OPERATION_NAMES: readonly string[] = [...RANGES.keys()];

/** @returns no points for a name that is not among `OPERATION_NAMES` */
export function operationRange(name: string, side: number): readonly OperationPoint[] {
  return RANGES.get(name)?.(side) ?? [];
}
