// Pictures cut out of decoded images.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "crop_point.h"
#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace detco::cuda {

at::Tensor cropImages(const at::Tensor& pixels, const at::Tensor& table, int64_t size) {
  TORCH_CHECK(
      pixels.scalar_type() == at::kByte && pixels.dim() == 1 && table.scalar_type() == at::kDouble && table.dim() == 2 &&
          table.size(1) == kCropColumns && table.device() == pixels.device() && table.size(0) <= 65535 && size >= 1,
      "crop_images: pixels of shape ", pixels.sizes(), " and type ", pixels.scalar_type(), ", table of shape ", table.sizes(),
      " and type ", table.scalar_type(), " on ", table.device(), ", size ", size, ": expected uint8 [bytes], float64 [N, ",
      static_cast<int>(kCropColumns), "] on ", pixels.device(), " with N of at most 65535, and a size of 1 or more");
  const c10::DeviceGuard guard(pixels.device());
  const at::Tensor from = pixels.contiguous();
  const at::Tensor rows = table.contiguous();
  const at::Tensor out = at::empty({table.size(0), size, size, 3}, from.options().dtype(at::kFloat));
  CropArgs a{};
  a.pixels = dataOf<unsigned char>(from);
  a.table = dataOf<double>(rows);
  a.out = dataOf<float>(out);
  a.size = static_cast<int>(size);
  launch("crop<float>", {static_cast<unsigned>(size), static_cast<unsigned>(table.size(0))}, {128}, a);
  return out;
}

}  // namespace detco::cuda
