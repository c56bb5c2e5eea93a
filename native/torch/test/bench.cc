#include "bench.h"

#include "../src/allocator.h"
#include "../src/blas.h"
#include "operators.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

namespace detco_test {
namespace {

constexpr int kRuns = 10;

double millisecondsOf(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void compare(
    const std::string& only, const std::string& name, const std::function<void()>& peer, const std::function<void()>& ours) {
  if (name.find(only) == std::string::npos) return;
  double least[2] = {1e9, 1e9};
  for (int i = 0; i < kRuns; ++i) {
    least[0] = std::min(least[0], millisecondsOf(peer));
    least[1] = std::min(least[1], millisecondsOf(ours));
  }
  std::printf("%-52s %9.3f ms %9.3f ms   x%.2f\n", name.c_str(), least[0], least[1], least[0] / least[1]);
  std::fflush(stdout);
}

void benchNorm(const std::string& only, const std::vector<int64_t>& shape, at::ScalarType type, int64_t groups) {
  const int64_t channels = shape.back();
  std::string name = groups == 1 ? "norm [" : "norm x8 [";
  for (const int64_t size : shape) name += std::to_string(size) + (size == channels ? "" : ",");
  name += std::string("] ") + at::toString(type);
  const Tensor x = at::randn(shape).to(type);
  const Tensor residual = at::randn(shape).to(type);
  const Tensor dy = at::randn(shape).to(type);
  const Tensor scale = at::rand({channels}) + 0.5;
  const Tensor offset = at::randn({channels});
  const Tensor runningMean = at::zeros({channels});
  const Tensor runningVariance = at::ones({channels});
  auto nchw = [](const Tensor& t) { return t.permute({0, 3, 1, 2}); };
  const Tensor x4 = nchw(x);
  const Tensor r4 = nchw(residual);
  const Tensor dy4 = nchw(dy);
  for (const bool add : {false, true}) {
    const std::string suffix = add ? " +add+relu" : " +relu";
    // torch.nn.functional: batch_norm, add_, relu_, on channels_last tensors, the batch whole or in groups
    auto peerForward = [&] {
      std::vector<std::tuple<Tensor, Tensor, Tensor>> results;
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t n = x4.size(0) / groups;
        auto result = at::native_batch_norm(
            x4.narrow(0, group * n, n), scale, offset, runningMean, runningVariance, true, 0.1, 1e-5);
        Tensor y = std::get<0>(result);
        if (add) y.add_(r4.narrow(0, group * n, n));
        y.relu_();
        results.push_back(result);
      }
      return results;
    };
    compare(only, name + suffix, [&] { peerForward(); }, [&] {
      groupedBatchNorm(x, scale, offset, add ? OptionalTensor(residual) : OptionalTensor(), groups, 1e-5, true);
    });
    const auto kept = peerForward();
    const auto [y, mean, variance, groupMean, groupInverse] =
        groupedBatchNorm(x, scale, offset, add ? OptionalTensor(residual) : OptionalTensor(), groups, 1e-5, true);
    compare(
        only, name + suffix + " backward",
        [&] {
          // Kept to the end, as a step keeps them: one group's memory may not serve the next.
          std::vector<std::tuple<Tensor, Tensor, Tensor>> results;
          for (int64_t group = 0; group < groups; ++group) {
            const int64_t n = x4.size(0) / groups;
            const auto& [y4, savedMean, savedInverse] = kept[static_cast<size_t>(group)];
            const Tensor g = at::threshold_backward(dy4.narrow(0, group * n, n), y4, 0);
            results.push_back(at::native_batch_norm_backward(
                g, x4.narrow(0, group * n, n), scale, runningMean, runningVariance, savedMean, savedInverse, true, 1e-5,
                {true, true, true}));
          }
        },
        [&, &y = y, &groupMean = groupMean, &groupInverse = groupInverse] {
          groupedBatchNormGrad(x, y, dy, scale, groupMean, groupInverse, groups, add);
        });
  }
}

// A filter of size x size pixels over n images [side, side, in].
void benchConvolution(
    const std::string& only, int64_t n, int64_t side, int64_t in, int64_t out, int64_t size, int64_t stride) {
  using Sizes = at::IntArrayRef;
  static const auto forward = operatorOf<Tensor(const Tensor&, const Tensor&, Sizes, Sizes, Sizes, bool)>("detco::conv2d");
  using Gradient = Tensor(const Tensor&, const Tensor&, Sizes, Sizes, Sizes, Sizes, bool);
  static const auto inputGrad = operatorOf<Gradient>("detco::conv2d_input_grad");
  static const auto filterGrad = operatorOf<Gradient>("detco::conv2d_filter_grad");
  const int64_t pad = size / 2;
  const int64_t outSide = (side + 2 * pad - size) / stride + 1;
  const std::vector<int64_t> strides = {stride, stride}, pads = {pad, pad, pad, pad}, ones = {1, 1};
  const Tensor x = at::randn({n, side, side, in});
  const Tensor f = at::randn({out, size, size, in}).permute({1, 2, 3, 0});
  const Tensor dy = at::randn({n, outSide, outSide, out});
  const Tensor x4 = x.permute({0, 3, 1, 2});
  const Tensor f4 = f.permute({3, 2, 0, 1});
  const Tensor dy4 = dy.permute({0, 3, 1, 2});
  const auto backward = [&](bool input) {
    at::convolution_backward(
        dy4, x4, f4, c10::nullopt, strides, {pad, pad}, ones, false, {0, 0}, 1, {input, !input, false});
  };
  std::string name = "convolution [" + std::to_string(n) + "," + std::to_string(side) + "," + std::to_string(side) + ",";
  name += std::to_string(in) + "] to " + std::to_string(out) + ", " + std::to_string(size) + "x" + std::to_string(size);
  if (stride > 1) name += " stride " + std::to_string(stride);
  compare(
      only, name, [&] { at::convolution(x4, f4, {}, strides, {pad, pad}, ones, false, {0, 0}, 1); },
      [&] { forward.call(x, f, strides, pads, ones, false); });
  compare(
      only, name + " input", [&] { backward(true); },
      [&] { inputGrad.call(dy, f, x.sizes(), strides, pads, ones, false); });
  compare(
      only, name + " filter", [&] { backward(false); },
      [&] { filterGrad.call(x, dy, f.sizes(), strides, pads, ones, false); });
}

void benchContrast(const std::string& only, int64_t n) {
  auto unit = [](const Tensor& t) { return t / t.norm(2, 1, true); };
  const Tensor q = unit(at::randn({n, 128}));
  const Tensor k = unit(at::randn({n, 128}));
  const Tensor queue = unit(at::randn({65536, 128}));
  // MoCo's: logits of the positive and the negatives side by side, cross entropy, and its gradient by hand
  auto composite = [&] {
    const Tensor logits = at::cat({(q * k).sum(1, true), q.mm(queue.t())}, 1).div_(0.2);
    const Tensor logp = logits.log_softmax(1);
    const Tensor loss = -logp.select(1, 0).mean();
    const Tensor p = logp.exp();
    return std::make_tuple(
        loss, p.narrow(1, 1, 65536).mm(queue).add_(p.narrow(1, 0, 1) * k).sub_(k).div_(static_cast<double>(n) * 0.2));
  };
  compare(
      only, "info_nce N " + std::to_string(n) + " K 65536 D 128", [&] { composite(); }, [&] { infoNce(q, k, queue, 0.2); });
}

void benchRest(const std::string& only) {
  std::vector<Tensor> p;
  std::vector<Tensor> g;
  std::vector<Tensor> v;
  for (int i = 0; i < 160; ++i) {
    const int64_t size = i % 3 == 0 ? 512 : 150000;
    p.push_back(at::randn({size}));
    g.push_back(at::randn({size}));
    v.push_back(at::randn({size}));
  }
  const Tensor rate = at::scalar_tensor(1e-3, at::kFloat);
  compare(
      only, "sgd 160 tensors, 16 M elements",
      [&] {
        const auto d = at::_foreach_add(g, p, 1e-4);
        at::_foreach_mul_(v, 0.9);
        at::_foreach_add_(v, d, 1);
        at::_foreach_add_(p, v, -1e-3);
      },
      [&] { sgd(p, g, v, rate, 0.9, 1e-4); });
  compare(
      only, "lerp 160 tensors",
      [&] {
        at::_foreach_mul_(v, 0.999);
        at::_foreach_add_(v, p, 0.001);
      },
      [&] { lerp(v, p, 0.001); });
  const Tensor bytes = at::randint(0, 256, {8, 224, 224, 3}, at::kByte);
  const Tensor factor = at::rand({3});
  const Tensor shift = at::rand({3});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    compare(
        only, std::string("images [8,224,224,3] ") + at::toString(type),
        [&] { bytes.to(at::kFloat).mul_(factor).add_(shift).to(type); },
        [&] { normaliseImages(bytes, factor, shift, type); });
  }
}

}  // namespace

int bench(const std::string& only) {
  detco::useOneBlasThread();
  std::printf("%d threads; LibTorch's operators, the fused one, ratio\n", at::get_num_threads());
  for (const bool caching : {false, true}) {
    if (caching) {
      detco::installCachingAllocator();
      std::printf("both on the caching allocator\n");
    }
    const std::vector<std::vector<int64_t>> shapes = {{8, 56, 56, 256}, {72, 16, 16, 64}, {8, 112, 112, 64}, {32, 24, 24, 16}};
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const auto& shape : shapes) benchNorm(only, shape, type, 1);
      benchNorm(only, shapes[0], type, 8);
    }
    for (const int64_t n : {8, 64}) benchContrast(only, n);
    benchRest(only);
  }
  // Of ResNet-50, batch 8: whole images and patches.
  for (const auto& [n, side] : {std::pair<int64_t, int64_t>{8, 56}, {72, 16}}) {
    for (int64_t stage = 0; stage < 4; ++stage) {
      const int64_t channels = 64 << stage, pixels = side >> stage;
      benchConvolution(only, n, pixels, channels, channels, 3, 1);
      if (stage < 3) benchConvolution(only, n, pixels, 4 * channels, 8 * channels, 1, 2);
    }
  }
  return 0;
}

}  // namespace detco_test
