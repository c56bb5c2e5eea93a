// uint8 pixels of a batch to normalised ones.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace detco::cuda {

at::Tensor normaliseImages(
    const at::Tensor& bytes, const at::Tensor& factor, const at::Tensor& shift, at::ScalarType dtype) {
  const char* name = "normalise_images";
  TORCH_CHECK(
      bytes.scalar_type() == at::kByte && bytes.dim() >= 1 && bytes.size(-1) == 3, name, ": bytes of shape ",
      bytes.sizes(), " and type ", bytes.scalar_type(), ": expected uint8 [..., 3]");
  for (const at::Tensor* vector : {&factor, &shift}) {
    TORCH_CHECK(
        vector->scalar_type() == at::kFloat && vector->numel() == 3 && vector->device() == bytes.device(), name,
        ": factor or shift of shape ", vector->sizes(), " and type ", vector->scalar_type(), " on ", vector->device(),
        ": expected float32 [3] on ", bytes.device());
  }
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, name, ": type ", dtype, ": expected float32 or bfloat16");
  const c10::DeviceGuard guard(bytes.device());
  const at::Tensor from = bytes.contiguous();
  const at::Tensor factors = factor.contiguous();
  const at::Tensor shifts = shift.contiguous();
  const at::Tensor out = at::empty(from.sizes(), from.options().dtype(dtype));
  ImageArgs a{};
  a.bytes = dataOf<unsigned char>(from);
  a.factor = dataOf<float>(factors);
  a.shift = dataOf<float>(shifts);
  a.out = out.data_ptr();
  a.size = from.numel();
  a.aligned = aligned(from, 4) && aligned(out, 16);
  const int64_t blocks = std::min<int64_t>((from.numel() + 256 * 12 - 1) / (256 * 12), int64_t{multiprocessors()} * 32);
  launch(std::string("normalise<") + typeName(out) + ">", {static_cast<unsigned>(blocks)}, {256}, a);
  return out;
}

}  // namespace detco::cuda
