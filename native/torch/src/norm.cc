// Grouped train-mode batch norm with fused residual and ReLU, CPU: checks, outputs and dispatch by element type.
// Memory bounds it, so x is read twice and y written once, where batch norm, add and ReLU one by one take twice that.
#include "norm_backward.h"
#include "norm_forward.h"

#include <torch/library.h>

#include <tuple>

namespace detco {
namespace {

void checkNormShapes(const char* name, const at::Tensor& x, const at::Tensor& scale, int64_t groups) {
  TORCH_CHECK(x.dim() >= 2 && x.numel() > 0, name, ": x of shape ", x.sizes(), ": expected [N, H, W, C] or [N, C]");
  TORCH_CHECK(isFloating(x), name, ": x of type ", x.scalar_type(), ": expected float32 or bfloat16");
  TORCH_CHECK(
      scale.scalar_type() == at::kFloat && scale.numel() == x.size(-1), name, ": scale of shape ", scale.sizes(),
      " and type ", scale.scalar_type(), ": expected float32 [", x.size(-1), "] for x ", x.sizes());
  TORCH_CHECK(
      groups >= 1 && x.size(0) % groups == 0, name, ": groups ", groups, ": expected a divisor of the batch size ",
      x.size(0), " of x ", x.sizes());
}

void checkLike(const char* name, const char* what, const at::Tensor& tensor, const at::Tensor& x) {
  TORCH_CHECK(
      tensor.sizes() == x.sizes(), name, ": ", what, " of shape ", tensor.sizes(), ": expected the shape of x, ",
      x.sizes());
  TORCH_CHECK(isFloating(tensor), name, ": ", what, " of type ", tensor.scalar_type(), ": expected float32 or bfloat16");
}

using Outputs5 = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

Outputs5 groupedBatchNorm(
    const at::Tensor& x, const at::Tensor& scale, const at::Tensor& offset, const c10::optional<at::Tensor>& residual,
    int64_t groups, double epsilon, bool relu) {
  const char* name = "grouped_batch_norm";
  checkNormShapes(name, x, scale, groups);
  TORCH_CHECK(
      offset.scalar_type() == at::kFloat && offset.numel() == x.size(-1), name, ": offset of shape ", offset.sizes(),
      " and type ", offset.scalar_type(), ": expected float32 [", x.size(-1), "] for x ", x.sizes());
  const NormRows shape(x, groups);
  TORCH_CHECK(
      shape.rows >= 2, name, ": x of shape ", x.sizes(), " in ", groups,
      " groups: one value a channel has no variance; use fewer groups or a larger batch");
  const at::Tensor from = x.contiguous();
  at::Tensor add;
  if (residual.has_value() && residual->defined()) {
    checkLike(name, "residual", *residual, x);
    add = residual->contiguous();
  }
  const at::Tensor scales = scale.contiguous();
  const at::Tensor offsets = offset.contiguous();
  const auto statistics = scales.options();
  at::Tensor y = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::Contiguous));
  at::Tensor groupMean = at::empty({groups, shape.channels}, statistics);
  at::Tensor groupInverse = at::empty({groups, shape.channels}, statistics);
  at::Tensor mean = at::empty({shape.channels}, statistics);
  at::Tensor variance = at::empty({shape.channels}, statistics);
  std::vector<double> unbiased(static_cast<size_t>(groups * shape.channels));

  const NormForward forward{
      from.data_ptr(),
      add.defined() ? add.data_ptr() : nullptr,
      dataOf<float>(scales),
      dataOf<float>(offsets),
      y.data_ptr(),
      dataOf<float>(groupMean),
      dataOf<float>(groupInverse),
      unbiased.data(),
      epsilon,
      relu};
  withElement(from, [&](auto* element) {
    using X = std::remove_pointer_t<decltype(element)>;
    withElement(add.defined() ? add : from, [&](auto* other) {
      forward.template run<X, std::remove_pointer_t<decltype(other)>>(shape);
    });
  });

  const float* means = dataOf<float>(groupMean);
  for (int64_t c = 0; c < shape.channels; ++c) {
    double meanSum = 0;
    double varianceSum = 0;
    for (int64_t group = 0; group < groups; ++group) {
      meanSum += means[group * shape.channels + c];
      varianceSum += unbiased[static_cast<size_t>(group * shape.channels + c)];
    }
    dataOf<float>(mean)[c] = static_cast<float>(meanSum / static_cast<double>(groups));
    dataOf<float>(variance)[c] = static_cast<float>(varianceSum / static_cast<double>(groups));
  }
  return {y, mean, variance, groupMean, groupInverse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> groupedBatchNormGrad(
    const at::Tensor& x, const c10::optional<at::Tensor>& y, const at::Tensor& dy, const at::Tensor& scale,
    const at::Tensor& groupMean, const at::Tensor& groupInverse, int64_t groups, bool residual) {
  const char* name = "grouped_batch_norm_grad";
  checkNormShapes(name, x, scale, groups);
  checkLike(name, "dy", dy, x);
  for (const at::Tensor* kept : {&groupMean, &groupInverse}) {
    TORCH_CHECK(
        kept->scalar_type() == at::kFloat && kept->dim() == 2 && kept->size(0) == groups && kept->size(1) == x.size(-1),
        name, ": statistics of shape ", kept->sizes(), " and type ", kept->scalar_type(), ": expected float32 [", groups,
        ", ", x.size(-1), "] for x ", x.sizes());
  }
  const NormRows shape(x, groups);
  const at::Tensor from = x.contiguous();
  const at::Tensor gradient = dy.contiguous();
  at::Tensor output;
  if (y.has_value() && y->defined()) {
    checkLike(name, "y", *y, x);
    output = y->to(x.scalar_type()).contiguous();
  }
  const at::Tensor scales = scale.contiguous();
  const at::Tensor means = groupMean.contiguous();
  const at::Tensor inverses = groupInverse.contiguous();
  at::Tensor dx = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::Contiguous));
  at::Tensor dScale = at::empty({shape.channels}, scales.options());
  at::Tensor dOffset = at::empty({shape.channels}, scales.options());
  at::Tensor dResidual;
  if (residual) {
    // Without a mask the residual's gradient is dy itself; a copy, for an output may not alias an input.
    dResidual = output.defined() ? at::empty_like(gradient) : gradient.clone();
  }
  std::vector<double> sums(static_cast<size_t>(groups * 2 * shape.channels));

  const NormBackward backward{
      from.data_ptr(),
      output.defined() ? output.data_ptr() : nullptr,
      gradient.data_ptr(),
      dataOf<float>(scales),
      dataOf<float>(means),
      dataOf<float>(inverses),
      dx.data_ptr(),
      output.defined() && residual ? dResidual.data_ptr() : nullptr,
      sums.data()};
  withElement(from, [&](auto* element) {
    using X = std::remove_pointer_t<decltype(element)>;
    withElement(gradient, [&](auto* other) {
      backward.template run<X, std::remove_pointer_t<decltype(other)>>(shape);
    });
  });

  for (int64_t c = 0; c < shape.channels; ++c) {
    double scaleSum = 0;
    double offsetSum = 0;
    for (int64_t group = 0; group < groups; ++group) {
      offsetSum += sums[static_cast<size_t>(group * 2 * shape.channels + c)];
      scaleSum += sums[static_cast<size_t>((group * 2 + 1) * shape.channels + c)];
    }
    dataOf<float>(dScale)[c] = static_cast<float>(scaleSum);
    dataOf<float>(dOffset)[c] = static_cast<float>(offsetSum);
  }
  return {dx, dScale, dOffset, dResidual};
}

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) {
  m.impl("grouped_batch_norm", TORCH_FN(detco::groupedBatchNorm));
  m.impl("grouped_batch_norm_grad", TORCH_FN(detco::groupedBatchNormGrad));
}
