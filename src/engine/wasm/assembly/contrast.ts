/** InfoNCE over a queue: softmax of one positive and many negatives for each row, in place. */
import { multiply } from './gemm';

/** e^x for x <= 0 within 2 units in the last place: 2^n times a degree-6 polynomial on [-ln2 / 2, ln2 / 2]. */
function exp4(x: v128): v128 {
  // Below -87 the result leaves the normal floats; there it is as good as zero.
  const clamped = f32x4.pmax(x, f32x4.splat(-87));
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.44269504)));
  // ln 2 in two parts, so that the remainder keeps its digits.
  const high = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)));
  const r = f32x4.sub(high, f32x4.mul(n, f32x4.splat(-2.1219444e-4)));
  let p = f32x4.splat(1.0 / 720);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

function dot(a: usize, b: usize, count: usize): f32 {
  let sum: f64 = 0;
  for (let i: usize = 0; i < count; i++) sum += <f64>load<f32>(a + i * 4) * <f64>load<f32>(b + i * 4);
  return <f32>sum;
}

/** logits [columns] / temperature, with the positive, become probabilities; the row's loss is returned. */
function softmaxRow(logits: usize, columns: usize, positive: f32, inverse: f32, probability: usize): f64 {
  const whole = (columns & ~3) * 4;
  const end = columns * 4;
  let peak = positive;
  let peaks = f32x4.splat(positive);
  for (let at: usize = 0; at < whole; at += 16) peaks = f32x4.pmax(peaks, v128.load(logits + at));
  for (let lane = 0; lane < 4; lane++) {
    peak = max(peak, f32x4.extract_lane(peaks, 0));
    peaks = v128.shuffle<f32>(peaks, peaks, 1, 2, 3, 0);
  }
  for (let at = whole; at < end; at += 4) peak = max(peak, load<f32>(logits + at));

  const shift = f32x4.splat(peak);
  const factor = f32x4.splat(inverse);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (let at: usize = 0; at < whole; at += 16) {
    const e = exp4(f32x4.mul(f32x4.sub(v128.load(logits + at), shift), factor));
    v128.store(logits + at, e);
    low = f64x2.add(low, f64x2.promote_low_f32x4(e));
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(e, e, 2, 3, 0, 1)));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (let at = whole; at < end; at += 4) {
    const e = exp1((load<f32>(logits + at) - peak) * inverse);
    store<f32>(logits + at, e);
    sum += e;
  }
  const exponent = (positive - peak) * inverse;
  const positiveExp = exp1(exponent);
  sum += positiveExp;

  const scale = f32x4.splat(<f32>(1 / sum));
  for (let at: usize = 0; at < whole; at += 16) v128.store(logits + at, f32x4.mul(v128.load(logits + at), scale));
  for (let at = whole; at < end; at += 4) store<f32>(logits + at, load<f32>(logits + at) * <f32>(1 / sum));
  store<f32>(probability, <f32>(positiveExp / sum));
  return Math.log(sum) - <f64>exponent;
}

/**
 * loss = mean over rows of -log softmax of q.key among q.key and q.queue[j], all divided by the temperature.
 * `negative` [rows, columns] and `positive` [rows] receive the probabilities. `scratch` is that of `multiply`.
 */
export function infoNce(
  query: usize,
  key: usize,
  rows: usize,
  width: usize,
  queue: usize,
  columns: usize,
  temperature: f64,
  loss: usize,
  negative: usize,
  positive: usize,
  scratch: usize,
): void {
  multiply(query, rows, width, queue, 4, width * 4, columns, negative, scratch);
  let sum: f64 = 0;
  for (let row: usize = 0; row < rows; row++) {
    const similarity = dot(query + row * width * 4, key + row * width * 4, width);
    sum += softmaxRow(negative + row * columns * 4, columns, similarity, <f32>(1 / temperature), positive + row * 4);
  }
  store<f32>(loss, <f32>(sum / <f64>rows));
}

/** dQuery = dLoss / (rows temperature) ((positive - 1) key + negative queue). */
export function infoNceGradient(
  dLoss: usize,
  key: usize,
  rows: usize,
  width: usize,
  queue: usize,
  columns: usize,
  temperature: f64,
  negative: usize,
  positive: usize,
  dQuery: usize,
  scratch: usize,
): void {
  multiply(negative, rows, columns, queue, width * 4, 4, width, dQuery, scratch);
  const factor = <f32>(<f64>load<f32>(dLoss) / (<f64>rows * temperature));
  for (let row: usize = 0; row < rows; row++) {
    const pull = load<f32>(positive + row * 4) - 1;
    for (let i = row * width; i < (row + 1) * width; i++) {
      store<f32>(dQuery + i * 4, factor * (load<f32>(dQuery + i * 4) + pull * load<f32>(key + i * 4)));
    }
  }
}
