R"CUDA(
// No header is included: NVRTC has no include path on a machine with only a driver, and compiles faster without.
// Every kernel is a template, so that a program holds only the one it was asked for. They keep to shared memory and
// __syncthreads (no shuffles), so that test/cuda/emulation.cc can run them on a CPU.
typedef unsigned char u8;
typedef unsigned int u32;
typedef long long i64;

/** bfloat16 storage; all arithmetic is float32. */
struct bf16 {
  unsigned short bits;
};

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(bf16 value) { return __uint_as_float(static_cast<u32>(value.bits) << 16); }

template <typename T>
__device__ T fromFloat(float value);
template <>
__device__ inline float fromFloat<float>(float value) {
  return value;
}
/** Rounds to nearest even, as PyTorch; every NaN becomes the canonical one. */
template <>
__device__ inline bf16 fromFloat<bf16>(float value) {
  bf16 result;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
#else
  const u32 bits = __float_as_uint(value);
  result.bits = (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fff : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
#endif
  return result;
}

/** V neighbours in memory, moved in transactions of up to 16 bytes. */
template <typename T, int V>
struct alignas(sizeof(T) * V > 16 ? 16 : sizeof(T) * V) Pack {
  T values[V];
};

template <int V, typename T>
__device__ inline Pack<T, V> read(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

template <typename T, int V>
__device__ inline void write(T* to, const float (&values)[V]) {
  Pack<T, V> pack;
#pragma unroll
  for (int i = 0; i < V; i++) pack.values[i] = fromFloat<T>(values[i]);
  *reinterpret_cast<Pack<T, V>*>(to) = pack;
}
)CUDA"
