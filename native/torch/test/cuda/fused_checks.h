// The fused operators of one device against those of the CPU, on random data: shared by cuda_test.cc, on a GPU, and emulation.cc,
// which runs the CUDA kernels on a CPU.
#pragma once

#include "augment_point.h"
#include "crop_point.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

namespace detco::test {

using Tensors = std::vector<at::Tensor>;
using NormForward = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const c10::optional<at::Tensor>&, int64_t, double, bool);
using NormBackward = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor&, const c10::optional<at::Tensor>&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
    const at::Tensor&, int64_t, bool);
using InfoNce = std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, const at::Tensor&, double);
using Sgd = void(at::TensorList, at::TensorList, at::TensorList, const at::Tensor&, double, double);
using Lerp = void(at::TensorList, at::TensorList, double);
using Enqueue = void(const at::Tensor&, const at::Tensor&, const at::Tensor&);
using NormaliseImages = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, at::ScalarType);
using Augment = at::Tensor(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, at::ScalarType);
using CropImages = at::Tensor(const at::Tensor&, const at::Tensor&, int64_t);

/** The operators under test: they take tensors of `device`. */
struct Operators {
  at::Device device = at::kCPU;
  std::function<NormForward> norm;
  std::function<NormBackward> normGrad;
  std::function<InfoNce> infoNce;
  std::function<Sgd> sgd;
  std::function<Lerp> lerp;
  std::function<Enqueue> enqueue;
  std::function<NormaliseImages> images;
  std::function<Augment> augment;
  std::function<CropImages> crop;
};

template <typename Signature>
std::function<Signature> registered(const std::string& name) {
  const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(("detco::" + name).c_str(), "").typed<Signature>();
  return [handle](auto&&... arguments) { return handle.call(std::forward<decltype(arguments)>(arguments)...); };
}

/** The operators that the dispatcher has for a device. */
inline Operators registeredFor(at::Device device) {
  return {
      device,
      registered<NormForward>("grouped_batch_norm"),
      registered<NormBackward>("grouped_batch_norm_grad"),
      registered<InfoNce>("info_nce"),
      registered<Sgd>("sgd_"),
      registered<Lerp>("lerp_"),
      registered<Enqueue>("enqueue_"),
      registered<NormaliseImages>("normalise_images"),
      registered<Augment>("augment"),
      registered<CropImages>("crop_images")};
}

class Checks {
 public:
  explicit Checks(Operators tested) : tested_(std::move(tested)), cpu_(registeredFor(at::kCPU)) {}

  /** Counts a difference beyond `relative` of each value plus `share` of the largest. */
  void close(const at::Tensor& got, const at::Tensor& want, double relative, double share, const char* what) {
    if (!want.defined() || !got.defined()) {
      note(want.defined() == got.defined(), 0, what);
      return;
    }
    if (got.scalar_type() != want.scalar_type() || got.sizes() != want.sizes()) {
      note(false, 0, what);
      return;
    }
    const at::Tensor a = got.to(at::kCPU).to(at::kDouble);
    const at::Tensor b = want.to(at::kDouble);
    const double largest = b.abs().max().item<double>();
    const double excess = ((a - b).abs() - b.abs() * relative).max().item<double>() / (largest + 1e-30);
    note(excess <= share, excess, what);
  }

  /** Prints the line of a check from what was compared since the last. */
  void line(const std::string& name) {
    std::printf("%s %s: %d compared, worst excess %.1e%s\n", failures_.empty() ? "ok  " : "FAIL", name.c_str(), compared_, worst_,
                failures_.c_str());
    std::fflush(stdout);
    failed_ += failures_.empty() ? 0 : 1;
    failures_.clear();
    compared_ = 0;
    worst_ = 0;
  }

  void norm(at::IntArrayRef sizes, int64_t groups, double mean = 1) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const auto other : {at::kFloat, at::kBFloat16}) {
        const int64_t channels = sizes.back();
        // Not deviations far below the mean: they leave float32 too few digits to compare.
        const at::Tensor deviation = at::rand({channels}) + 0.1;
        const at::Tensor x = (at::randn(sizes) * deviation + mean * at::randn({channels})).to(type);
        const at::Tensor added = at::randn(sizes).to(other), dy = at::randn(sizes).to(other);
        const at::Tensor scale = at::rand({channels}) + 0.5, offset = at::randn({channels});
        for (const bool residual : {false, true}) {
          for (const bool relu : {false, true}) oneNorm(x, scale, offset, residual ? added : at::Tensor(), dy, groups, relu);
        }
      }
    }
    line("batch norm " + c10::str(sizes) + " in " + std::to_string(groups) + " groups");
  }

  void infoNce(int64_t n, int64_t d, int64_t k) {
    const auto unit = [&](int64_t rows) { const at::Tensor a = at::randn({rows, d}); return a / a.norm(2, {1}, true); };
    const at::Tensor queries = unit(n), keys = unit(n), queue = unit(k);
    const auto [loss, gradient] = cpu_.infoNce(queries, keys, queue, 0.2);
    const auto [gotLoss, got] = tested_.infoNce(on(queries), on(keys), on(queue), 0.2);
    close(gotLoss, loss, 1e-5, 0, "loss");
    close(got, gradient, 1e-4, 1e-5, "gradient");
    line("info_nce " + c10::str(at::IntArrayRef({n, d, k})));
  }

  void lists() {
    Tensors parameters, gradients, velocities;
    for (int i = 0; i < 130; ++i) {
      const at::Tensor p = i % 5 == 0 ? at::randn({3, 3, 4, 5}).permute({2, 3, 1, 0}) : at::randn({1 + 97 * i});
      // Of the other strides, bfloat16, or not aligned.
      at::Tensor g = at::randn(p.sizes());
      if (i % 3 == 0) g = g.to(at::kBFloat16);
      if (i % 7 == 1) g = at::randn({p.numel() + 1}).narrow(0, 1, p.numel()).view(p.sizes());
      parameters.push_back(p);
      gradients.push_back(g);
      velocities.push_back(i % 10 == 0 ? at::randn(p.sizes()) : at::empty_strided(p.sizes(), p.strides()).normal_());
    }
    const at::Tensor rate = at::scalar_tensor(0.03);
    Tensors p = on(parameters), v = on(velocities);
    const Tensors g = on(gradients);
    tested_.sgd(p, g, v, on(rate), 0.9, 1e-4);
    cpu_.sgd(parameters, gradients, velocities, rate, 0.9, 1e-4);
    for (size_t i = 0; i < p.size(); ++i) {
      close(p[i], parameters[i], 1e-6, 1e-6, "parameter");
      close(v[i], velocities[i], 1e-6, 1e-6, "velocity");
    }
    line("sgd_");
    for (const double weight : {0.0, 0.001, 0.7, 1.0}) {
      Tensors targets = on(velocities), sources = on(parameters);
      tested_.lerp(targets, sources, weight);
      for (size_t i = 0; i < targets.size(); ++i) {
        if (weight == 0) close(targets[i], velocities[i], 0, 0, "unchanged");
        else if (weight == 1) close(targets[i], parameters[i], 0, 0, "source");
        else close(targets[i], at::lerp(velocities[i], parameters[i], weight), 1e-6, 1e-6, "lerp");
      }
    }
    line("lerp_");
  }

  void enqueue() {
    for (const auto type : {at::kInt, at::kLong}) {
      for (const auto keyType : {at::kFloat, at::kBFloat16}) {
        const at::Tensor queue = at::randn({64, 12}), keys = at::randn({16, 12}).to(keyType);
        const at::Tensor pointer = at::scalar_tensor(48, at::TensorOptions().dtype(type));
        const at::Tensor got = on(queue);
        tested_.enqueue(got, on(keys), on(pointer));
        cpu_.enqueue(queue, keys, pointer);
        close(got, queue, 0, 0, "queue");
      }
    }
    line("enqueue_");
  }

  void images() {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t width : {224, 7}) {
        const at::Tensor bytes = at::randint(0, 256, {2, 5, width, 3}, at::TensorOptions().dtype(at::kByte));
        const at::Tensor factor = at::rand({3}) / 60, shift = -at::rand({3}) * 2;
        close(
            tested_.images(on(bytes), on(factor), on(shift), type), cpu_.images(bytes, factor, shift, type),
            type == at::kFloat ? 0 : 0.008, 1e-6, "pixels");
      }
    }
    line("normalise_images");
  }

  /** Random chains of steps of `count` pictures. A product and sum as one may round another way: some level may be the next one. */
  void augment(int64_t count, int64_t height, int64_t width) {
    constexpr int64_t kSteps = 5;
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor levels = at::randint(20, 236, {count, height, width, 3}).to(at::kFloat);
      const at::Tensor table = at::zeros({count, 2 * kSteps + 1, kStepColumns}, at::kDouble);
      int passes = 1;
      for (int64_t n = 0; n < count; ++n) passes = std::max(passes, randomSteps(table[n], n, n % (kSteps + 1)));
      const at::Tensor factor = at::ones({3}), shift = at::tensor({0.0f, 1.0f, 2.0f});
      const at::Tensor want = cpu_.augment(levels, table, factor, shift, passes, type);
      const at::Tensor got = tested_.augment(on(levels), on(table), on(factor), on(shift), passes, type).to(at::kCPU);
      const at::Tensor distance = (got - want).abs().to(at::kDouble);
      note(got.scalar_type() == type && got.sizes() == want.sizes(), 0, "type or shape");
      // An edge of hue or solarize may make much of a level, in few pixels.
      note(distance.mean().item<double>() <= 0.02, distance.mean().item<double>(), "levels");
    }
    line("augment " + c10::str(at::IntArrayRef({count, height, width})));
  }

  /** Out of images of several sizes: enlarged and shrunk, mirrored or not, within the image and beyond it. */
  void crop(int64_t count, int64_t size) {
    const at::Tensor table = at::zeros({count, kCropColumns}, at::kDouble);
    auto rows = table.accessor<double, 2>();
    int64_t bytes = 0;
    for (int64_t n = 0; n < count; ++n) {
      const int64_t width = 7 + 13 * (n % 11), height = 5 + 17 * (n % 7);
      const double scale = 0.3 + 0.4 * static_cast<double>(n % 9);
      const double values[] = {
          static_cast<double>(bytes), static_cast<double>(width), 2, 1, static_cast<double>(width - 1), static_cast<double>(height),
          1.5 - static_cast<double>(n % 4), 0.25 * static_cast<double>(n % 5), scale, 0.5 + scale, static_cast<double>(n % 2)};
      std::copy(values, values + kCropColumns, &rows[n][0]);
      bytes += width * height * 3;
    }
    const at::Tensor pixels = at::randint(256, {bytes}).to(at::kByte);
    const at::Tensor want = cpu_.crop(pixels, table, size);
    // A device may round a position otherwise, and so a weight.
    close(tested_.crop(on(pixels), on(table), size), want, 0, 1.0 / 255, "levels");
    line("crop " + c10::str(at::IntArrayRef({count, size})));
  }

  int failed() const { return failed_; }
  const Operators& tested() const { return tested_; }

  /** A copy of a dense tensor on the device under test, of the same strides and alignment. */
  at::Tensor on(const at::Tensor& tensor) const {
    if (!tensor.defined()) return tensor;
    const int64_t offset = tensor.storage_offset();
    const at::Tensor storage = at::empty({offset + tensor.numel()}, tensor.options().device(tested_.device));
    return storage.as_strided(tensor.sizes(), tensor.strides(), offset).copy_(tensor);
  }
  Tensors on(const Tensors& tensors) const {
    Tensors copies;
    for (const at::Tensor& each : tensors) copies.push_back(on(each));
    return copies;
  }

 private:
  /** Writes so many steps to the rows of a picture, each code the first of some picture. @returns its passes */
  int randomSteps(const at::Tensor& rows, int64_t seed, int64_t count) {
    const double parameters[] = {0, 1.3, 0.6, 1.7, 200, 0, 0, 0, 0, 16, 128, 90, 1.8, 0.97};
    auto table = rows.accessor<double, 2>();
    int pass = 0;
    int64_t row = 0;
    const auto add = [&](int code, double first) {
      table[row][0] = code;
      table[row][1] = first;
      table[row][2] = code == kAffine ? 0.26 : 128;
      table[row][3] = -2.3;
      table[row][4] = -0.26;
      table[row][5] = 0.97;
      table[row][6] = 1.7;
      table[row++][kPass] = pass;
    };
    for (int64_t i = 0; i < count; ++i) {
      const int code = static_cast<int>(1 + (seed + 5 * i) % kBlurRows);
      if (needsStatistics(code) || (row > 0 && code >= kSharpness)) ++pass;
      if (code == kBlurRows) {
        const double radius = 0.4 + 0.3 * static_cast<double>(seed % 7);
        add(kBlurRows, radius);
        ++pass;
        add(kBlurColumns, radius);
      } else {
        add(code, parameters[code]);
      }
    }
    for (; row < rows.size(0); ++row) table[row][kPass] = pass;
    return pass + 1;
  }

  void note(bool good, double excess, const char* what) {
    compared_++;
    worst_ = std::max(worst_, excess);
    if (!good && failures_.size() < 300) failures_ += std::string(" [") + what + " " + std::to_string(excess) + "]";
  }

  void oneNorm(
      const at::Tensor& x, const at::Tensor& scale, const at::Tensor& offset, const at::Tensor& residual, const at::Tensor& dy,
      int64_t groups, bool relu) {
    const auto given = [](const at::Tensor& tensor) {
      return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::optional<at::Tensor>();
    };
    // A bfloat16 result may fall on the other side of a rounding.
    const auto relative = [](const at::Tensor& tensor) { return tensor.defined() && tensor.scalar_type() == at::kBFloat16 ? 0.008 : 1e-5; };
    const auto [y, mean, variance, groupMean, groupInverse] = cpu_.norm(x, scale, offset, given(residual), groups, 1e-5, relu);
    const auto got = tested_.norm(on(x), on(scale), on(offset), given(on(residual)), groups, 1e-5, relu);
    close(std::get<0>(got), y, relative(y), 1e-5, "y");
    close(std::get<1>(got), mean, 1e-5, 1e-6, "mean");
    close(std::get<2>(got), variance, 1e-5, 1e-6, "variance");
    close(std::get<3>(got), groupMean, 1e-5, 1e-6, "group_mean");
    close(std::get<4>(got), groupInverse, 1e-5, 1e-6, "group_inverse");
    const at::Tensor masks = relu ? y : at::Tensor();
    for (const bool wantsResidual : {false, true}) {
      const auto want = cpu_.normGrad(x, given(masks), dy, scale, groupMean, groupInverse, groups, wantsResidual);
      const auto grad = tested_.normGrad(
          on(x), given(on(masks)), on(dy), on(scale), on(groupMean), on(groupInverse), groups, wantsResidual);
      close(std::get<0>(grad), std::get<0>(want), relative(x), 1e-5, "dx");
      close(std::get<1>(grad), std::get<1>(want), 1e-5, 1e-5, "d_scale");
      close(std::get<2>(grad), std::get<2>(want), 1e-5, 1e-5, "d_offset");
      close(std::get<3>(grad), std::get<3>(want), 0, 0, "d_residual");
    }
  }

  Operators tested_;
  Operators cpu_;
  std::string failures_;
  int compared_ = 0;
  double worst_ = 0;
  int failed_ = 0;
};

}  // namespace detco::test
