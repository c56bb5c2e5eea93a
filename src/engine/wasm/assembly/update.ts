/** Element-wise work on whole tensors: optimiser, moving average, images. */

/** v <- momentum v + (g + decay p); p <- p - rate v, as PyTorch's SGD. */
export function sgd(
  p: usize,
  g: usize,
  v: usize,
  count: usize,
  rate: f32,
  momentum: f32,
  decay: f32,
): void {
  const whole = (count & ~3) * 4;
  const m4 = f32x4.splat(momentum);
  const d4 = f32x4.splat(decay);
  const r4 = f32x4.splat(rate);
  for (let at: usize = 0; at < whole; at += 16) {
    const weight = v128.load(p + at);
    const step = f32x4.add(
      f32x4.mul(m4, v128.load(v + at)),
      f32x4.add(v128.load(g + at), f32x4.mul(d4, weight)),
    );
    v128.store(v + at, step);
    v128.store(p + at, f32x4.sub(weight, f32x4.mul(r4, step)));
  }
  for (let at = whole; at < count * 4; at += 4) {
    const weight = load<f32>(p + at);
    const step = momentum * load<f32>(v + at) + (load<f32>(g + at) + decay * weight);
    store<f32>(v + at, step);
    store<f32>(p + at, weight - rate * step);
  }
}

/** target <- target + weight (source - target); from one half on, as torch.lerp, source - (1 - weight) (source - target). */
export function lerp(target: usize, source: usize, count: usize, weight: f32): void {
  const whole = (count & ~3) * 4;
  const near: bool = weight < 0.5;
  const factor: f32 = near ? weight : weight - 1;
  const f4 = f32x4.splat(factor);
  for (let at: usize = 0; at < whole; at += 16) {
    const t = v128.load(target + at);
    const s = v128.load(source + at);
    v128.store(target + at, f32x4.add(near ? t : s, f32x4.mul(f4, f32x4.sub(s, t))));
  }
  for (let at = whole; at < count * 4; at += 4) {
    const t = load<f32>(target + at);
    const s = load<f32>(source + at);
    store<f32>(target + at, (near ? t : s) + factor * (s - t));
  }
}

/**
 * count bytes, RGB interleaved, to count floats x * factor + shift with a factor and a shift for each of the three channels.
 * The bytes may lie in the last quarter of the output: reading stays ahead of writing.
 */
export function normaliseImages(
  bytes: usize,
  count: usize,
  out: usize,
  factorR: f32,
  factorG: f32,
  factorB: f32,
  shiftR: f32,
  shiftG: f32,
  shiftB: f32,
): void {
  const f0 = f32x4(factorR, factorG, factorB, factorR);
  const f1 = f32x4(factorG, factorB, factorR, factorG);
  const f2 = f32x4(factorB, factorR, factorG, factorB);
  const s0 = f32x4(shiftR, shiftG, shiftB, shiftR);
  const s1 = f32x4(shiftG, shiftB, shiftR, shiftG);
  const s2 = f32x4(shiftB, shiftR, shiftG, shiftB);
  let i: usize = 0;
  // Sixteen bytes hold whole pixels only up to the fifteenth; twelve are four pixels.
  for (; i + 16 <= count; i += 12) {
    const raw = v128.load(bytes + i);
    const low = i16x8.extend_low_i8x16_u(raw);
    const high = i16x8.extend_high_i8x16_u(raw);
    const v0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(low));
    const v1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(low));
    const v2 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(high));
    const to = out + i * 4;
    v128.store(to, f32x4.add(f32x4.mul(v0, f0), s0));
    v128.store(to, f32x4.add(f32x4.mul(v1, f1), s1), 16);
    v128.store(to, f32x4.add(f32x4.mul(v2, f2), s2), 32);
  }
  for (let channel: usize = 0; i < count; i++) {
    const factor = channel == 0 ? factorR : channel == 1 ? factorG : factorB;
    const shift = channel == 0 ? shiftR : channel == 1 ? shiftG : shiftB;
    store<f32>(out + i * 4, <f32>load<u8>(bytes + i) * factor + shift);
    channel = channel == 2 ? 0 : channel + 1;
  }
}
