/**
 * a b + c. The build with relaxed SIMD rounds once (a fused multiply-add where the processor has one), the other twice: two files,
 * because an engine without relaxed SIMD refuses a module that names its instructions.
 */
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b));
}
