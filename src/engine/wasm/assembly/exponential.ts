/**
 * e^x within 2 units in the last place for all x: 2^n times a polynomial of degree 6 on [-ln2 / 2, ln2 / 2] (Taylor; its remainder is
 * below float32's last place there). The backend's own goes through libm, one element at a time.
 */
function exp4(x: v128): v128 {
  // Outside these bounds the result is 0 or infinite anyway; NaN passes.
  const clamped = f32x4.pmax(f32x4.pmin(x, f32x4.splat(90)), f32x4.splat(-105));
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
  // 2^n in two factors: n itself may lie outside the exponents of normal floats.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** out[i] = e^x[i]; may be in place. */
export function exponential(x: usize, count: usize, out: usize): void {
  const whole = (count & ~3) * 4;
  for (let at: usize = 0; at < whole; at += 16) v128.store(out + at, exp4(v128.load(x + at)));
  for (let at = whole; at < count * 4; at += 4) {
    store<f32>(out + at, f32x4.extract_lane(exp4(v128.load_splat<f32>(x + at)), 0));
  }
}
