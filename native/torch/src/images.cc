// uint8 pixels of a batch slot to normalised float32 or bfloat16, CPU.
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <array>

namespace detco {
namespace {

// The least common multiple of 3 channels and 16 lanes: a loop this long has constant vectors for factor and shift.
constexpr int64_t kPeriod = 48;
// Elements that are worth a thread more: a tenth of a millisecond's work. Threads that were woken wait busily for several afterwards.
constexpr int64_t kGrain = int64_t{1} << 20;

using Pattern = std::array<float, kPeriod>;

template <typename T>
void normaliseRange(
    const uint8_t* __restrict bytes, T* __restrict out, int64_t count, const Pattern& factor, const Pattern& shift) {
  int64_t i = 0;
  for (; i + kPeriod <= count; i += kPeriod) {
#pragma omp simd
    for (int64_t j = 0; j < kPeriod; ++j) {
      store(out + i + j, static_cast<float>(bytes[i + j]) * factor[static_cast<size_t>(j)] + shift[static_cast<size_t>(j)]);
    }
  }
  for (int64_t j = 0; i + j < count; ++j) {
    store(out + i + j, static_cast<float>(bytes[i + j]) * factor[static_cast<size_t>(j)] + shift[static_cast<size_t>(j)]);
  }
}

at::Tensor normaliseImages(
    const at::Tensor& bytes, const at::Tensor& factor, const at::Tensor& shift, at::ScalarType dtype) {
  TORCH_CHECK(
      bytes.scalar_type() == at::kByte && bytes.dim() >= 1 && bytes.size(-1) == 3, "normalise_images: bytes of shape ",
      bytes.sizes(), " and type ", bytes.scalar_type(), ": expected uint8 [..., 3]");
  for (const at::Tensor* vector : {&factor, &shift}) {
    TORCH_CHECK(
        vector->scalar_type() == at::kFloat && vector->numel() == 3, "normalise_images: factor or shift of shape ",
        vector->sizes(), " and type ", vector->scalar_type(), ": expected float32 [3]");
  }
  TORCH_CHECK(
      dtype == at::kFloat || dtype == at::kBFloat16, "normalise_images: type ", dtype, ": expected float32 or bfloat16");
  const at::Tensor from = bytes.contiguous();
  const at::Tensor factors = factor.contiguous();
  const at::Tensor shifts = shift.contiguous();
  Pattern factorPattern;
  Pattern shiftPattern;
  for (size_t i = 0; i < kPeriod; ++i) {
    factorPattern[i] = dataOf<float>(factors)[i % 3];
    shiftPattern[i] = dataOf<float>(shifts)[i % 3];
  }
  at::Tensor out = at::empty(bytes.sizes(), bytes.options().dtype(dtype).memory_format(at::MemoryFormat::Contiguous));
  const uint8_t* pixels = dataOf<uint8_t>(from);
  const int64_t count = from.numel();
  withElement(out, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    T* to = dataOf<T>(out);
    at::parallel_for(0, (count + kPeriod - 1) / kPeriod, kGrain / kPeriod, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kPeriod;
      normaliseRange(pixels + first, to + first, std::min(count, end * kPeriod) - first, factorPattern, shiftPattern);
    });
  });
  return out;
}

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) { m.impl("normalise_images", TORCH_FN(detco::normaliseImages)); }
