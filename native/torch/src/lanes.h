// Registers of floats, and element loads and stores of the CPU kernels: float32 as it is, bfloat16 as the upper half of a float32.
// The latter inline into plain loops that the compiler vectorises.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>

namespace detco {

// One register of floats.
#ifdef __AVX512F__
constexpr int64_t kLanes = 16;
#else
constexpr int64_t kLanes = 8;
#endif

template <int64_t kWidth>
struct Lanes {
  typedef float Type __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));
};

template <int64_t kWidth>
using Vector = typename Lanes<kWidth>::Type;

inline const Vector<kLanes>& loadLanes(const float* p) { return *reinterpret_cast<const Vector<kLanes>*>(p); }

inline void storeLanes(float* p, const Vector<kLanes>& value) { *reinterpret_cast<Vector<kLanes>*>(p) = value; }

using BFloat16Bits = uint16_t;

inline float load(const float* p) { return *p; }

inline float load(const BFloat16Bits* p) {
  const uint32_t bits = static_cast<uint32_t>(*p) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void store(float* p, float value) { *p = value; }

// Rounds to nearest, ties to even; a NaN stays one, whatever its payload.
inline void store(BFloat16Bits* p, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  *p = static_cast<BFloat16Bits>(value == value ? rounded : 0x7fc0u);
}

// max(value, 0) that keeps NaN, as at::relu does.
inline float relu(float value) { return 0.0f > value ? 0.0f : value; }

inline bool isFloating(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
}

template <typename T>
T* dataOf(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// Calls f with a null pointer of the tensor's element type; float32 or bfloat16, checked before.
template <typename F>
void withElement(const at::Tensor& tensor, F&& f) {
  if (tensor.scalar_type() == at::kBFloat16) {
    f(static_cast<BFloat16Bits*>(nullptr));
  } else {
    f(static_cast<float*>(nullptr));
  }
}

}  // namespace detco
