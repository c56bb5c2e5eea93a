// Lists of parameters as one long range of elements, for kernels that update all of them in one parallel region.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace detco {

// Same order of elements in memory: equal strides but for dimensions of size 1, whose stride means nothing.
inline bool sameLayout(const at::Tensor& a, const at::Tensor& b) {
  for (int64_t i = 0; i < a.dim(); ++i) {
    if (a.size(i) != 1 && a.stride(i) != b.stride(i)) return false;
  }
  return true;
}

// A copy with the strides of `model`, which is non-overlapping and dense.
inline at::Tensor copyWithLayout(const at::Tensor& tensor, const at::Tensor& model) {
  at::Tensor copy = at::empty_strided(model.sizes(), model.strides(), tensor.options());
  copy.copy_(tensor);
  return copy;
}

// Calls f(tensor index, begin, end) over pieces of tensors, in parallel, each element once. Element-wise work only: the
// cuts depend on the number of threads, the values do not.
template <typename F>
void forEachElement(at::TensorList tensors, F f) {
  std::vector<int64_t> starts(1, 0);
  for (const at::Tensor& tensor : tensors) starts.push_back(starts.back() + tensor.numel());
  at::parallel_for(0, starts.back(), 1 << 14, [&](int64_t begin, int64_t end) {
    auto next = std::upper_bound(starts.begin(), starts.end(), begin);
    for (auto i = static_cast<size_t>(next - starts.begin()) - 1; begin < end; ++i) {
      const int64_t stop = std::min(end, starts[i + 1]);
      if (stop > begin) f(i, begin - starts[i], stop - starts[i]);
      begin = stop;
    }
  });
}

}  // namespace detco
