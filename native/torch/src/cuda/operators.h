// The fused operators on CUDA tensors; semantics and schemas are those of schemas.cc.
#pragma once

#include <ATen/ATen.h>

#include <tuple>

namespace detco::cuda {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> groupedBatchNorm(
    const at::Tensor& x, const at::Tensor& scale, const at::Tensor& offset, const c10::optional<at::Tensor>& residual,
    int64_t groups, double epsilon, bool relu);

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> groupedBatchNormGrad(
    const at::Tensor& x, const c10::optional<at::Tensor>& y, const at::Tensor& dy, const at::Tensor& scale,
    const at::Tensor& groupMean, const at::Tensor& groupInverse, int64_t groups, bool residual);

std::tuple<at::Tensor, at::Tensor> infoNce(
    const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& queue, double temperature);

void sgd(
    at::TensorList parameters, at::TensorList gradients, at::TensorList velocities, const at::Tensor& learningRate,
    double momentum, double weightDecay);

void lerp(at::TensorList targets, at::TensorList sources, double weight);

void enqueue(const at::Tensor& queue, const at::Tensor& keys, const at::Tensor& pointer);

at::Tensor normaliseImages(
    const at::Tensor& bytes, const at::Tensor& factor, const at::Tensor& shift, at::ScalarType dtype);

at::Tensor augment(
    const at::Tensor& levels, const at::Tensor& table, const at::Tensor& factor, const at::Tensor& shift, int64_t passes,
    at::ScalarType dtype);

at::Tensor cropImages(const at::Tensor& pixels, const at::Tensor& table, int64_t size);

}  // namespace detco::cuda
