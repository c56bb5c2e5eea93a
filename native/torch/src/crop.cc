// Pictures cut out of decoded images, CPU.
#include "crop_point.h"
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

namespace detco {
namespace {

at::Tensor cropImages(const at::Tensor& pixels, const at::Tensor& table, int64_t size) {
  TORCH_CHECK(
      pixels.scalar_type() == at::kByte && pixels.dim() == 1 && table.scalar_type() == at::kDouble && table.dim() == 2 &&
          table.size(1) == kCropColumns && size >= 1,
      "crop_images: pixels of shape ", pixels.sizes(), " and type ", pixels.scalar_type(), ", table of shape ", table.sizes(),
      " and type ", table.scalar_type(), ", size ", size, ": expected uint8 [bytes], float64 [N, ", static_cast<int>(kCropColumns),
      "] and a size of 1 or more");
  const at::Tensor from = pixels.contiguous();
  const at::Tensor rows = table.contiguous();
  const at::Tensor out = at::empty({table.size(0), size, size, 3}, at::kFloat);
  const int side = static_cast<int>(size);
  at::parallel_for(0, table.size(0) * size, 1, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const double* row = dataOf<double>(rows) + line / size * kCropColumns;
      const Taps taps = rowTaps(row, static_cast<int>(line % size));
      float* to = dataOf<float>(out) + line * size * 3;
      for (int x = 0; x < side; ++x) cropAt(dataOf<uint8_t>(from), row, side, x, taps, to + x * 3);
    }
  });
  return out;
}

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) { m.impl("crop_images", TORCH_FN(detco::cropImages)); }
