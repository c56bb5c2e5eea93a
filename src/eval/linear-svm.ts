/**
 * Linear support vector machines, many at once: the problem that LIBLINEAR solves for scikit-learn's LinearSVC.
 *
 *   min over w of  1/2 |w|^2  +  sum over images i of  c_i max(0, 1 - y_i w.x_i)^2           x = (features, 1)
 *
 * The intercept is the weight of a constant 1, so it is regularised like the others. Each column of `targets` and `costs` is a machine of
 * its own over the same images: a class, a fold (a cost of 0 leaves an image out), a cost. They share the matrix products, which are all
 * that takes time.
 *
 * Solved by Newton's method in the primal (Keerthi and DeCoste, JMLR 2005): conjugate gradients for the direction, an exact search along it.
 */

/** The images, [rows, columns], and products with them on whatever is fast here. */
export interface Design {
  readonly rows: number;
  /** Features and the constant. */
  readonly columns: number;
  /** X V: [columns, machines] -> [rows, machines]. */
  times(values: Float32Array, machines: number): Promise<Float32Array>;
  /** X^T R: [rows, machines] -> [columns, machines]. */
  transposedTimes(values: Float32Array, machines: number): Promise<Float32Array>;
}

export interface Machines {
  readonly machines: number;
  /** 1 or -1, [rows, machines]. */
  readonly targets: Int8Array;
  /** c_i, [rows, machines]. */
  readonly costs: Float32Array;
}

/** The gradient at the end, as a share of the gradient at w = 0: about what float32 products can tell. */
const TOLERANCE = 1e-5;
const MOST_NEWTON_STEPS = 60;
const MOST_CG_STEPS = 60;
/** Of the residual of a direction, as a share of the gradient: a Newton step needs no more. */
const CG_TOLERANCE = 0.05;
const MOST_LINE_STEPS = 20;

/**
 * @param start weights to begin with, such as those of a smaller cost
 * @returns weights, [columns, machines]
 */
export async function solveMachines(design: Design, { machines, targets, costs }: Machines, start?: Float32Array): Promise<Float32Array> {
  const weights = Float64Array.from(start ?? new Float32Array(design.columns * machines));
  const atZero = norms(await lossGradient(design, { machines, targets, costs }, new Float32Array(design.rows * machines)), machines);
  for (let step = 0; step < MOST_NEWTON_STEPS; step++) {
    const scores = await design.times(Float32Array.from(weights), machines);
    const loss = await lossGradient(design, { machines, targets, costs }, scores);
    const gradient = weights.map((weight, at) => weight + (loss[at] ?? 0));
    const lengths = norms(gradient, machines);
    const open = lengths.map((length, machine) => length > TOLERANCE * (atZero[machine] ?? 0));
    if (!open.includes(true)) break;
    // 2 c_i where an image is within the margin: the curvature of its loss.
    const curvature = costs.map((cost, at) => ((targets[at] ?? 0) * (scores[at] ?? 0) < 1 && open[at % machines] ? 2 * cost : 0));
    const direction = await newtonDirection(design, machines, { gradient, curvature, open });
    const along = await design.times(Float32Array.from(direction), machines);
    const steps = open.map((isOpen, machine) =>
      isOpen ? lineSearch({ machine, machines, targets, costs, scores, along, weights, direction }) : 0,
    );
    for (let at = 0; at < weights.length; at++) weights[at] = (weights[at] ?? 0) + (steps[at % machines] ?? 0) * (direction[at] ?? 0);
  }
  return Float32Array.from(weights);
}

/** Gradient of the losses at these scores, [columns, machines]. */
function lossGradient(design: Design, { machines, targets, costs }: Machines, scores: Float32Array): Promise<Float32Array> {
  const slopes = scores.map((score, at) => {
    const target = targets[at] ?? 0;
    return -2 * (costs[at] ?? 0) * target * Math.max(0, 1 - target * score);
  });
  return design.transposedTimes(slopes, machines);
}

/** Solves (I + X^T diag(curvature) X) d = -gradient for each machine, by conjugate gradients. */
async function newtonDirection(
  design: Design,
  machines: number,
  { gradient, curvature, open }: { readonly gradient: Float64Array; readonly curvature: Float32Array; readonly open: readonly boolean[] },
): Promise<Float64Array> {
  const direction = new Float64Array(gradient.length);
  const residual = gradient.map((value, at) => (open[at % machines] ? -value : 0));
  const search = residual.slice();
  let squares = dots(residual, residual, machines);
  const enough = squares.map((square) => CG_TOLERANCE * CG_TOLERANCE * square);
  for (let step = 0; step < MOST_CG_STEPS && squares.some((square, machine) => square > (enough[machine] ?? 0)); step++) {
    const scores = await design.times(Float32Array.from(search), machines);
    const bent = await design.transposedTimes(
      scores.map((score, at) => score * (curvature[at] ?? 0)),
      machines,
    );
    const product = search.map((value, at) => value + (bent[at] ?? 0));
    const curved = dots(search, product, machines);
    const lengths = squares.map((square, machine) => (square > (enough[machine] ?? 0) ? square / (curved[machine] ?? 1) : 0));
    for (let at = 0; at < direction.length; at++) {
      const length = lengths[at % machines] ?? 0;
      direction[at] = (direction[at] ?? 0) + length * (search[at] ?? 0);
      residual[at] = (residual[at] ?? 0) - length * (product[at] ?? 0);
    }
    const after = dots(residual, residual, machines);
    for (let at = 0; at < search.length; at++) {
      const machine = at % machines;
      const before = squares[machine] ?? 0;
      search[at] = (residual[at] ?? 0) + (before > 0 ? (after[machine] ?? 0) / before : 0) * (search[at] ?? 0);
    }
    squares = after;
  }
  return direction;
}

interface Line extends Machines {
  readonly machine: number;
  /** X w and X d. */
  readonly scores: Float32Array;
  readonly along: Float32Array;
  readonly weights: Float64Array;
  readonly direction: Float64Array;
}

/** The t that is best for w + t d: Newton's method on the derivative, which grows with t, within what is known to hold its root. */
function lineSearch({ machine, machines, targets, costs, scores, along, weights, direction }: Line): number {
  let [cross, square] = [0, 0];
  for (let at = machine; at < weights.length; at += machines) {
    cross += (weights[at] ?? 0) * (direction[at] ?? 0);
    square += (direction[at] ?? 0) ** 2;
  }
  if (square === 0) return 0;
  let [low, high, t] = [0, Infinity, 1];
  for (let step = 0; step < MOST_LINE_STEPS; step++) {
    let [slope, bend] = [cross + t * square, square];
    for (let at = machine; at < scores.length; at += machines) {
      const [target, cost, d] = [targets[at] ?? 0, costs[at] ?? 0, along[at] ?? 0];
      const lack = 1 - target * ((scores[at] ?? 0) + t * d);
      if (lack <= 0) continue;
      slope -= 2 * cost * target * d * lack;
      bend += 2 * cost * d * d;
    }
    if (slope > 0) high = t;
    else low = t;
    const next = t - slope / bend;
    const inside = next > low && next < high ? next : (low + high) / 2;
    if (!Number.isFinite(inside) || Math.abs(inside - t) <= 1e-9 * t) return t;
    t = inside;
  }
  return t;
}

/** Of each column of two [columns, machines]. */
function dots(a: Float64Array, b: Float64Array, machines: number): number[] {
  const sums = Array.from({ length: machines }, () => 0);
  for (let at = 0; at < a.length; at++) sums[at % machines] = (sums[at % machines] ?? 0) + (a[at] ?? 0) * (b[at] ?? 0);
  return sums;
}

function norms(values: ArrayLike<number>, machines: number): number[] {
  const column = Float64Array.from(values);
  return dots(column, column, machines).map(Math.sqrt);
}
