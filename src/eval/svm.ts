/**
 * VOC07-style classification: a linear SVM for each class on L2-normalised features, its cost by 3-fold cross-validation, judged by mean
 * average precision (Owens et al. 2016; Goyal et al. 2019, section 6.1, whose settings these are).
 */
import { averagePrecision, cuts } from './average-precision.js';
import type { ClassSet } from './labels.js';
import { type Design, solveMachines } from './linear-svm.js';
import { stratifiedFolds } from './stratified-folds.js';

/** The 18 costs of FAIR's benchmark and VISSL, and 1, 10, 100, which sets of a few hundred images may need. */
export const COSTS: readonly number[] = [...Array.from({ length: 16 }, (_, i) => 2 ** (i - 19)), 0.01, 0.1, 1, 10, 100].toSorted(
  (a, b) => a - b,
);
const FOLDS = 3;
/** An image of the class counts twice, as in FAIR's benchmark: `class_weight={1: 2, -1: 1}`. */
const POSITIVE_WEIGHT = 2;
/** Scores that are held at once. */
const MOST_SCORES = 2 ** 24;

export interface SvmOptions {
  readonly classes: number;
  readonly costs?: readonly number[];
  readonly pause?: () => Promise<void>;
  /** Called with the share done, [0, 1]. */
  readonly onShare?: (share: number) => void;
}

/** The machine of one class; absent weights where the training images do not allow one. */
export interface ClassMachine {
  readonly cost: number;
  /** Mean average precision over the folds, for each cost. */
  readonly crossValidated: readonly number[];
  /** [dimensions + 1], the last of the constant 1. */
  readonly weights: Float32Array;
}

/**
 * @param design of L2-normalised features with the constant
 * @param sets the classes of each image of the design
 * @returns for each class its machine, or undefined where all images or none are of it
 */
export async function trainMachines(
  design: Design,
  sets: readonly ClassSet[],
  { classes, costs = COSTS, pause, onShare }: SvmOptions,
): Promise<(ClassMachine | undefined)[]> {
  const machines: (ClassMachine | undefined)[] = Array.from({ length: classes }, () => undefined);
  const trainable = Array.from({ length: classes }, (_, one) => positives(sets, one)).flatMap((positive, one) => {
    const count = positive.filter(Boolean).length;
    return count > 0 && count < positive.length ? [{ one, positive }] : [];
  });
  const together = Math.max(1, Math.floor(MOST_SCORES / (design.rows * FOLDS)));
  for (let first = 0; first < trainable.length; first += together) {
    const group = trainable.slice(first, first + together);
    const share = (done: number) => onShare?.((first + (done / (costs.length + 1)) * group.length) / trainable.length);
    const crossed = await crossValidate(design, group, costs, { ...(pause && { pause }), onCost: share });
    const best = crossed.map((values) => costs[values.indexOf(Math.max(...values))] ?? 1);
    const weights = await solveMachines(design, {
      machines: group.length,
      targets: each(design.rows, group.length, (row, at) => (group[at]?.positive[row] ? 1 : -1), Int8Array),
      costs: each(design.rows, group.length, (row, at) => (best[at] ?? 1) * (group[at]?.positive[row] ? POSITIVE_WEIGHT : 1), Float32Array),
    });
    for (const [at, { one }] of group.entries())
      machines[one] = {
        cost: best[at] ?? 1,
        crossValidated: crossed[at] ?? [],
        weights: Float32Array.from({ length: design.columns }, (_, column) => weights[column * group.length + at] ?? 0),
      };
    share(costs.length + 1);
  }
  return machines;
}

interface Target {
  readonly positive: readonly boolean[];
}

/** Mean average precision over the folds, for each class and cost. */
async function crossValidate(
  design: Design,
  group: readonly Target[],
  costs: readonly number[],
  { pause, onCost }: { readonly pause?: () => Promise<void>; readonly onCost: (done: number) => void },
): Promise<number[][]> {
  const machines = group.length * FOLDS;
  const folds = group.map(({ positive }) => stratifiedFolds(positive, FOLDS));
  const targetOf = (machine: number) => group[Math.floor(machine / FOLDS)]?.positive ?? [];
  const held = (row: number, machine: number) => folds[Math.floor(machine / FOLDS)]?.[row] === machine % FOLDS;
  const targets = each(design.rows, machines, (row, machine) => (targetOf(machine)[row] ? 1 : -1), Int8Array);
  const weightOf = (row: number, machine: number) => (held(row, machine) ? 0 : targetOf(machine)[row] ? POSITIVE_WEIGHT : 1);
  const unit = each(design.rows, machines, weightOf, Float32Array);
  const crossed: number[][] = group.map(() => []);
  let weights: Float32Array | undefined;
  for (const [done, cost] of costs.entries()) {
    await pause?.();
    // From the weights of the last, smaller cost it is not far.
    weights = await solveMachines(design, { machines, targets, costs: unit.map((weight) => weight * cost) }, weights);
    const scores = await design.times(weights, machines);
    for (const [at, { positive }] of group.entries()) {
      const perFold = Array.from({ length: FOLDS }, (_, fold) => {
        const machine = at * FOLDS + fold;
        const rows = positive.flatMap((_, row) => (held(row, machine) ? [row] : []));
        const ranking = cuts(
          rows.map((row) => scores[row * machines + machine] ?? 0),
          rows.map((row) => positive[row] ?? false),
        );
        return averagePrecision(ranking);
      }).filter((precision) => !Number.isNaN(precision));
      crossed[at]?.push(perFold.reduce((sum, precision) => sum + precision, 0) / perFold.length);
    }
    onCost(done + 1);
  }
  return crossed;
}

function positives(sets: readonly ClassSet[], one: number): boolean[] {
  return sets.map(({ present }) => present.includes(one));
}

function each<Values extends Int8Array | Float32Array>(
  rows: number,
  machines: number,
  value: (row: number, machine: number) => number,
  kind: new (length: number) => Values,
): Values {
  const values = new kind(rows * machines);
  for (let row = 0; row < rows; row++)
    for (let machine = 0; machine < machines; machine++) values[row * machines + machine] = value(row, machine);
  return values;
}

/** Scores of each image for each class that has a machine, [images, classes]; NaN for the others. */
export async function scoreImages(design: Design, machines: readonly (ClassMachine | undefined)[]): Promise<Float32Array> {
  const weights = new Float32Array(design.columns * machines.length);
  for (const [one, machine] of machines.entries())
    for (let column = 0; column < design.columns; column++)
      weights[column * machines.length + one] = machine?.weights[column] ?? Number.NaN;
  return design.times(weights, machines.length);
}
