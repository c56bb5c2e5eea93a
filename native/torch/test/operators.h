// The fused operators, called as any caller does: by name through LibTorch's dispatcher.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <tuple>

namespace detco_test {

using at::Tensor;
using OptionalTensor = c10::optional<Tensor>;

template <typename Signature>
auto operatorOf(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

using NormResult = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;
using NormGradResult = std::tuple<Tensor, Tensor, Tensor, Tensor>;

inline NormResult groupedBatchNorm(
    const Tensor& x, const Tensor& scale, const Tensor& offset, const OptionalTensor& residual, int64_t groups,
    double epsilon, bool relu) {
  static const auto op = operatorOf<NormResult(
      const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&, int64_t, double, bool)>(
      "detco::grouped_batch_norm");
  return op.call(x, scale, offset, residual, groups, epsilon, relu);
}

inline NormGradResult groupedBatchNormGrad(
    const Tensor& x, const OptionalTensor& y, const Tensor& dy, const Tensor& scale, const Tensor& groupMean,
    const Tensor& groupInverse, int64_t groups, bool residual) {
  static const auto op = operatorOf<NormGradResult(
      const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, int64_t, bool)>(
      "detco::grouped_batch_norm_grad");
  return op.call(x, y, dy, scale, groupMean, groupInverse, groups, residual);
}

inline std::tuple<Tensor, Tensor> infoNce(
    const Tensor& queries, const Tensor& keys, const Tensor& queue, double temperature) {
  static const auto op =
      operatorOf<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, double)>("detco::info_nce");
  return op.call(queries, keys, queue, temperature);
}

inline void sgd(
    at::TensorList parameters, at::TensorList gradients, at::TensorList velocities, const Tensor& rate, double momentum,
    double decay) {
  static const auto op =
      operatorOf<void(at::TensorList, at::TensorList, at::TensorList, const Tensor&, double, double)>("detco::sgd_");
  op.call(parameters, gradients, velocities, rate, momentum, decay);
}

inline void lerp(at::TensorList targets, at::TensorList sources, double weight) {
  static const auto op = operatorOf<void(at::TensorList, at::TensorList, double)>("detco::lerp_");
  op.call(targets, sources, weight);
}

inline void enqueue(Tensor queue, const Tensor& keys, const Tensor& pointer) {
  static const auto op = operatorOf<void(const Tensor&, const Tensor&, const Tensor&)>("detco::enqueue_");
  op.call(queue, keys, pointer);
}

inline Tensor normaliseImages(const Tensor& bytes, const Tensor& factor, const Tensor& shift, at::ScalarType dtype) {
  static const auto op =
      operatorOf<Tensor(const Tensor&, const Tensor&, const Tensor&, at::ScalarType)>("detco::normalise_images");
  return op.call(bytes, factor, shift, dtype);
}

}  // namespace detco_test
