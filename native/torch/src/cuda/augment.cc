// Augmentation of a batch's pictures in passes, and normalisation in the last.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <array>

#include "augment_point.h"
#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace detco::cuda {

at::Tensor augment(
    const at::Tensor& levels, const at::Tensor& table, const at::Tensor& factor, const at::Tensor& shift, int64_t passes,
    at::ScalarType dtype) {
  const char* name = "augment";
  TORCH_CHECK(
      levels.scalar_type() == at::kFloat && levels.dim() == 4 && levels.size(3) == 3 && levels.size(1) <= kLongestSide &&
          levels.size(2) <= kLongestSide && levels.size(0) <= 65535,
      name, ": levels of shape ", levels.sizes(), " and type ", levels.scalar_type(),
      ": expected float32 [N, H, W, 3], sides of at most ", static_cast<int>(kLongestSide), " and N of at most 65535");
  TORCH_CHECK(
      table.scalar_type() == at::kDouble && table.dim() == 3 && table.size(0) == levels.size(0) && table.size(1) >= 1 &&
          table.size(2) == kStepColumns && table.device() == levels.device(),
      name, ": table of shape ", table.sizes(), " and type ", table.scalar_type(), " on ", table.device(),
      ": expected float64 [", levels.size(0), ", steps, ", static_cast<int>(kStepColumns), "] on ", levels.device());
  for (const at::Tensor* vector : {&factor, &shift}) {
    TORCH_CHECK(
        vector->scalar_type() == at::kFloat && vector->numel() == 3 && vector->device() == levels.device(), name,
        ": factor or shift of shape ", vector->sizes(), " and type ", vector->scalar_type(), " on ", vector->device(),
        ": expected float32 [3] on ", levels.device());
  }
  TORCH_CHECK(passes >= 1, name, ": ", passes, " passes: expected 1 or more");
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, name, ": type ", dtype, ": expected float32 or bfloat16");
  const c10::DeviceGuard guard(levels.device());
  const at::Tensor from = levels.contiguous();
  const at::Tensor rows = table.contiguous();
  const at::Tensor factors = factor.contiguous();
  const at::Tensor shifts = shift.contiguous();
  const at::Tensor out = at::empty(from.sizes(), from.options().dtype(dtype));
  if (out.numel() == 0) return out;
  const at::Tensor statistics = at::zeros({from.size(0), passes, kStatistics}, from.options().dtype(at::kInt));
  // Each pass reads what the one before it wrote.
  std::array<at::Tensor, 2> between;
  for (int64_t i = 0; i < std::min<int64_t>(passes - 1, 2); ++i) between[static_cast<size_t>(i)] = at::empty_like(from);

  const int64_t height = from.size(1);
  const int64_t rowSize = from.size(2) * 3;
  const int64_t columns = kStripFloats / height / 3 * 3;
  AugmentArgs a{};
  a.out = out.data_ptr();
  a.table = dataOf<double>(rows);
  a.statistics = dataOf<int>(statistics);
  a.factor = dataOf<float>(factors);
  a.shift = dataOf<float>(shifts);
  a.steps = static_cast<int>(rows.size(1));
  a.passes = static_cast<int>(passes);
  a.height = static_cast<int>(height);
  a.width = static_cast<int>(from.size(2));
  const Grid grid{
      static_cast<unsigned>(std::max(height, (rowSize + columns - 1) / columns)), static_cast<unsigned>(from.size(0))};
  const std::string kernel = std::string("augment<") + typeName(out) + ">";
  const float* read = dataOf<float>(from);
  for (int pass = 0; pass < a.passes; ++pass) {
    const at::Tensor& written = between[static_cast<size_t>(pass % 2)];
    a.pass = pass;
    a.from = read;
    // The last pass writes to `out` alone.
    a.next = pass + 1 < a.passes ? dataOf<float>(written) : nullptr;
    launch(kernel, grid, {256}, a);
    read = a.next;
  }
  return out;
}

}  // namespace detco::cuda
