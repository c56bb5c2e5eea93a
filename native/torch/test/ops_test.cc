// Checks every fused operator on the CPU against float64 composites of ATen operators; with --bench, compares its speed
// with what LibTorch's own operators take for the same result. Built without CMake by:
//
//   g++ -std=c++17 -O3 -march=native -fopenmp -I$LIBTORCH/include -I$LIBTORCH/include/torch/csrc/api/include
//     src/{schemas,norm,contrast,optimizer,images,blas,conv,conv_product,conv_winograd,schedule,heap,allocator}.cc test/*.cc -o ops_test
//     -L$LIBTORCH/lib -ltorch -ltorch_cpu -lc10
#include "../src/allocator.h"
#include "../src/blas.h"
#include "bench.h"
#include "expect.h"
#include "operators.h"

#include <ATen/Parallel.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace detco_test {
namespace {

std::string shapeText(at::IntArrayRef sizes) {
  std::string text = "[";
  for (const int64_t size : sizes) text += (text.size() > 1 ? "," : "") + std::to_string(size);
  return text + "]";
}

struct NormCase {
  std::vector<int64_t> shape;
  int64_t groups;
  bool relu;
  bool residual;
  at::ScalarType type;
  at::ScalarType otherType;  // of the residual and of dy
  double mean = 0;
};

void checkNorm(const NormCase& c) {
  const std::string what = "batch norm " + shapeText(c.shape) + " groups " + std::to_string(c.groups) +
      (c.relu ? " relu" : "") + (c.residual ? " residual " : " ") + at::toString(c.type) + "/" + at::toString(c.otherType);
  const int64_t channels = c.shape.back();
  const auto options = at::TensorOptions(at::kFloat);
  const Tensor x = (at::randn(c.shape, options) * 2 + c.mean).to(c.type);
  const Tensor residual = at::randn(c.shape, options).to(c.otherType);
  const Tensor dy = at::randn(c.shape, options).to(c.otherType);
  const Tensor scale = at::rand({channels}, options) + 0.5;
  const Tensor offset = at::randn({channels}, options);
  const double epsilon = 1e-5;
  const auto [y, mean, variance, groupMean, groupInverse] = groupedBatchNorm(
      x, scale, offset, c.residual ? OptionalTensor(residual) : OptionalTensor(), c.groups, epsilon, c.relu);

  const Tensor x3 = x.to(at::kDouble).reshape({c.groups, -1, channels});
  const Tensor m = x3.mean(1, true);
  const Tensor deviation = x3 - m;
  const Tensor biased = deviation.square().mean(1, true);
  const double rows = static_cast<double>(x3.size(1));
  const Tensor inverse = (biased + epsilon).rsqrt();
  const Tensor normal = deviation * inverse;
  Tensor expected = normal * scale.to(at::kDouble) + offset.to(at::kDouble);
  if (c.residual) expected = expected + residual.to(at::kDouble).reshape_as(expected);
  if (c.relu) expected = expected.relu();
  const bool half = c.type == at::kBFloat16;
  // A mean of a thousand deviations costs three digits of float32 mean, which the statistics' type cannot hold.
  const double far = c.mean == 0 ? 1 : 100;
  expect(y.scalar_type() == c.type && y.is_contiguous(), what + ": type or layout of y");
  expectClose(y, expected.reshape(c.shape), half ? 4e-3 : 3e-6, what + " y");
  expectClose(mean, m.mean(0).reshape({channels}), 1e-6, what + " mean");
  expectClose(variance, (biased * (rows / (rows - 1))).mean(0).reshape({channels}), 1e-6, what + " variance");
  expectClose(groupMean, m.reshape({c.groups, channels}), 1e-6, what + " group mean");
  expectClose(groupInverse, inverse.reshape({c.groups, channels}), 1e-6, what + " group inverse");

  const auto [dx, dScale, dOffset, dResidual] = groupedBatchNormGrad(
      x, c.relu ? OptionalTensor(y) : OptionalTensor(), dy, scale, groupMean, groupInverse, c.groups, c.residual);
  Tensor g = dy.to(at::kDouble).reshape_as(x3);
  if (c.relu) g = g * (y.to(at::kDouble).reshape_as(x3) > 0);
  const Tensor sum1 = g.sum(1, true);
  const Tensor sum2 = (g * normal).sum(1, true);
  const Tensor expectedDx = scale.to(at::kDouble) * inverse * (g - sum1 / rows - normal * sum2 / rows);
  expect(dx.scalar_type() == c.type && dx.is_contiguous(), what + ": type or layout of dx");
  // Against its terms: with two rows to a group they cancel to nearly nothing.
  const double terms = (scale.to(at::kDouble) * inverse * g).abs().max().item<double>();
  expectClose(dx, expectedDx.reshape(c.shape), half ? 4e-3 : 3e-6 * far, what + " dx", terms);
  const double scaleTerms = (g * normal).abs().sum(1).max().item<double>();
  const double offsetTerms = g.abs().sum(1).max().item<double>();
  expectClose(dScale, sum2.sum(0).reshape({channels}), 2e-6 * far, what + " d scale", scaleTerms);
  expectClose(dOffset, sum1.sum(0).reshape({channels}), 1e-6, what + " d offset", offsetTerms);
  expect(dResidual.defined() == c.residual, what + ": d residual");
  if (c.residual) {
    expect(dResidual.scalar_type() == c.otherType, what + ": type of d residual");
    expect(at::equal(dResidual.to(at::kDouble).reshape_as(g), g), what + " d residual");
  }
}

void checkNorms() {
  const std::vector<std::pair<std::vector<int64_t>, int64_t>> shapes = {
      {{2, 1}, 1},          {{8, 3}, 2},           {{6, 1, 1, 5}, 3},   {{4, 7, 5, 3}, 1},   {{4, 7, 5, 3}, 4},
      {{6, 9, 11, 17}, 2},  {{3, 5, 7, 129}, 3},   {{2, 3, 3, 2048}, 1}, {{8, 14, 14, 64}, 8}, {{5, 31, 29, 24}, 5},
      {{2, 65, 67, 96}, 1}, {{4, 41, 43, 128}, 4}, {{9, 64}, 3},        {{2, 40, 40, 256}, 2}};
  const at::ScalarType f = at::kFloat;
  const at::ScalarType b = at::kBFloat16;
  for (const auto& [shape, groups] : shapes) {
    for (const bool relu : {false, true}) {
      for (const bool residual : {false, true}) {
        checkNorm({shape, groups, relu, residual, f, f});
        checkNorm({shape, groups, relu, residual, b, b});
        checkNorm({shape, groups, relu, residual, b, f});
      }
    }
  }
  checkNorm({{4, 9, 9, 32}, 2, true, true, f, b});
  for (const auto& [shape, groups] : shapes) {
    // With enough rows for a deviation near the one drawn.
    const int64_t rows = at::empty(shape).numel() / shape.back() / groups;
    if (rows >= 30) checkNorm({shape, groups, false, false, f, f, 2000});
  }

  // One value far from all others in the first row, where a shift by that row would lose the rest.
  Tensor x = at::randn({2, 50, 50, 8}, at::kFloat);
  x.flatten()[3] = 1e4f;
  const Tensor scale = at::ones({8});
  const Tensor offset = at::zeros({8});
  const Tensor variance = std::get<2>(groupedBatchNorm(x, scale, offset, {}, 1, 1e-5, false));
  const Tensor expected = x.to(at::kDouble).reshape({-1, 8}).var(0, true);
  expect(((variance.to(at::kDouble) - expected) / expected).abs().max().item<double>() < 1e-6, "variance with an outlier");

  // Strides: NCHW memory seen as NHWC.
  const Tensor strided = at::randn({2, 6, 5, 7}).permute({0, 2, 3, 1});
  const Tensor s6 = at::rand({6});
  const auto fromStrided = groupedBatchNorm(strided, s6, s6, strided, 2, 1e-5, true);
  const auto fromDense = groupedBatchNorm(strided.contiguous(), s6, s6, strided.contiguous(), 2, 1e-5, true);
  expect(at::equal(std::get<0>(fromStrided), std::get<0>(fromDense)), "batch norm of strided input");

  // NaN in one group's channel makes that group's channel NaN, relu or not, and nothing else.
  for (const at::ScalarType type : {f, b}) {
    Tensor bad = at::randn({4, 3, 3, 5}).to(type);
    bad[2][1][1][4] = std::numeric_limits<float>::quiet_NaN();
    const Tensor s5 = at::ones({5});
    const Tensor y = std::get<0>(groupedBatchNorm(bad, s5, s5, {}, 2, 1e-5, true));
    expect(y.slice(0, 2).select(3, 4).isnan().all().item<bool>() && y.isnan().sum().item<int64_t>() == 18, "batch norm of NaN");
  }

  // Same bits whatever the number of threads.
  const Tensor big = at::randn({3, 60, 60, 64});
  const Tensor s64 = at::rand({64});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = groupedBatchNorm(big, s64, s64, {}, 3, 1e-5, true);
  at::set_num_threads(2);
  const auto two = groupedBatchNorm(big, s64, s64, {}, 3, 1e-5, true);
  at::set_num_threads(threads);
  expect(at::equal(std::get<0>(one), std::get<0>(two)) && at::equal(std::get<2>(one), std::get<2>(two)), "bits by threads");

  expectError([&] { groupedBatchNorm(big, s64, s64, {}, 2, 1e-5, true); }, {"groups 2", "[3, 60, 60, 64]"}, "groups");
  expectError([&] { groupedBatchNorm(big, at::ones({5}), s64, {}, 3, 1e-5, true); }, {"scale", "[5]", "[64]"}, "scale");
  expectError([&] { groupedBatchNorm(big, s64, s64, x, 3, 1e-5, true); }, {"residual", "[2, 50, 50, 8]"}, "residual");
  expectError([&] { groupedBatchNorm(at::ones({2, 3}), at::ones({3}), at::ones({3}), {}, 2, 1e-5, true); }, {"[2, 3]", "one value"}, "rows");
  expectError([&] { groupedBatchNorm(big.to(at::kDouble), s64, s64, {}, 3, 1e-5, true); }, {"Double"}, "type");
  expectError([&] { groupedBatchNormGrad(big, {}, x, s64, s64, s64, 3, false); }, {"dy", "[2, 50, 50, 8]"}, "dy");
  expectError([&] { groupedBatchNormGrad(big, {}, big, s64, s64, s64, 3, false); }, {"[64]", "[3, 64]"}, "statistics");
}

void checkContrast() {
  const std::vector<std::vector<int64_t>> cases = {
      {1, 1, 1}, {2, 5, 3}, {3, 700, 17}, {8, 2048, 128}, {9, 9001, 128}, {16, 300, 64}, {23, 1025, 100}, {33, 4096, 128}, {70, 513, 130}};
  for (const auto& c : cases) {
    for (const double temperature : {0.2, 0.02}) {
      const std::string what = "info nce " + shapeText(c);
      auto unit = [](const Tensor& t) { return t / t.norm(2, 1, true); };
      const Tensor q = unit(at::randn({c[0], c[2]}));
      const Tensor k = unit(at::randn({c[0], c[2]}));
      const Tensor queue = unit(at::randn({c[1], c[2]}));
      const auto [loss, gradient] = infoNce(q, k, queue, temperature);
      const Tensor qd = q.to(at::kDouble);
      const Tensor kd = k.to(at::kDouble);
      const Tensor nd = queue.to(at::kDouble);
      const Tensor logits = at::cat({(qd * kd).sum(1, true), qd.mm(nd.t())}, 1) / temperature;
      const Tensor p = logits.softmax(1);
      const Tensor expected = (p.narrow(1, 0, 1) * kd + p.narrow(1, 1, c[1]).mm(nd) - kd) / (static_cast<double>(c[0]) * temperature);
      expect(loss.dim() == 0, what + ": scalar loss");
      expectClose(loss, -logits.log_softmax(1).select(1, 0).mean(), 2e-6, what + " loss");
      expectClose(gradient, expected, 5e-6, what + " gradient");
    }
  }
  // Logits that a softmax without a running maximum would overflow on.
  const auto [loss, gradient] = infoNce(at::ones({1, 2}) * 100, at::ones({1, 2}), at::ones({600, 2}), 0.1);
  expect(std::abs(loss.item<double>() - std::log(601.0)) < 1e-4 && gradient.isfinite().all().item<bool>(), "info nce of large logits");
  // NaN reaches the loss from any of the three.
  for (int which = 0; which < 3; ++which) {
    std::vector<Tensor> inputs = {at::randn({3, 8}), at::randn({3, 8}), at::randn({500, 8})};
    inputs[static_cast<size_t>(which)][2][1] = std::numeric_limits<float>::quiet_NaN();
    expect(std::get<0>(infoNce(inputs[0], inputs[1], inputs[2], 0.2)).isnan().item<bool>(), "info nce of NaN");
  }
  const Tensor q = at::randn({4, 8});
  expectError([&] { infoNce(q, at::randn({3, 8}), q, 0.2); }, {"keys", "[3, 8]", "[4, 8]"}, "keys");
  expectError([&] { infoNce(q, q, at::randn({9, 7}), 0.2); }, {"queue", "[9, 7]", "[4, 8]"}, "queue");
  expectError([&] { infoNce(q, q, q, 0); }, {"temperature 0"}, "temperature");
  expectError([&] { infoNce(q.to(at::kBFloat16), q, q, 0.2); }, {"BFloat16"}, "type");
}

// [kh, kw, in, out] over the memory of a channels_last [out, in, kh, kw].
Tensor convolutionParameter(int64_t out, int64_t in, int64_t size) {
  return at::randn({out, in, size, size}).contiguous(at::MemoryFormat::ChannelsLast).permute({2, 3, 1, 0});
}

void checkOptimizer() {
  const Tensor rate = at::scalar_tensor(0.1, at::kFloat);
  const std::vector<Tensor> p = {
      at::randn({7}), convolutionParameter(8, 6, 3), at::randn({300, 200}), convolutionParameter(4, 5, 1),
      at::randn({0, 3}), at::randn({6, 10}).slice(1, 0, 5), at::randn({50, 70}).t()};
  std::vector<Tensor> g;
  std::vector<Tensor> v;
  std::vector<Tensor> expectedP;
  std::vector<Tensor> expectedV;
  for (size_t i = 0; i < p.size(); ++i) {
    g.push_back(at::randn(p[i].sizes()).to(i % 2 == 0 ? at::kFloat : at::kBFloat16));
    v.push_back(at::randn(p[i].sizes()));
    expectedP.push_back(p[i].to(at::kDouble));
    expectedV.push_back(v[i].to(at::kDouble));
  }
  for (int step = 0; step < 3; ++step) {
    sgd(p, g, v, rate, 0.9, 1e-2);
    for (size_t i = 0; i < p.size(); ++i) {
      expectedV[i] = expectedV[i] * 0.9 + (g[i].to(at::kDouble) + expectedP[i] * 1e-2);
      expectedP[i] = expectedP[i] - expectedV[i] * static_cast<double>(0.1f);
      if (p[i].numel() == 0) continue;
      expectClose(p[i], expectedP[i], 1e-6, "sgd parameter " + std::to_string(i));
      expectClose(v[i], expectedV[i], 1e-6, "sgd velocity " + std::to_string(i));
    }
  }
  expect(v[1].strides() == p[1].strides(), "velocity takes its parameter's layout");
  sgd({}, {}, {}, rate, 0.9, 0);
  lerp({}, {}, 0.5);
  const std::vector<Tensor> ones = {at::ones({3})};
  const std::vector<Tensor> twos = {at::ones({2})};
  expectError([&] { sgd(ones, twos, ones, rate, 0.9, 0); }, {"gradients 0", "[2]", "[3]"}, "sgd shapes");
  expectError([&] { sgd(ones, {}, ones, rate, 0.9, 0); }, {"0 gradients for 1"}, "sgd counts");
  expectError([&] { sgd(ones, ones, ones, at::ones({2}), 0.9, 0); }, {"learning rate", "[2]"}, "sgd rate");
  expectError([&] { lerp(ones, twos, 0.5); }, {"sources 0", "[2]", "[3]"}, "lerp shapes");

  for (const double weight : {0.0, 0.001, 0.7, 1.0}) {
    std::vector<Tensor> targets;
    std::vector<Tensor> expected;
    for (const Tensor& source : p) {
      targets.push_back(source.dim() == 2 && source.size(0) == 6 ? at::randn({6, 9}).slice(1, 2, 7) : at::randn(source.sizes()));
      expected.push_back(weight == 0 ? targets.back().clone() : weight == 1 ? source.clone() : at::lerp(targets.back(), source, weight));
    }
    lerp(targets, p, weight);
    for (size_t i = 0; i < p.size(); ++i) {
      const std::string what = "lerp " + std::to_string(i) + " by " + std::to_string(weight);
      if (weight == 0 || weight == 1) expect(at::equal(targets[i], expected[i]), what + " is exact");
      else if (p[i].numel() > 0) expectClose(targets[i], expected[i], 1e-6, what);
    }
  }
}

void checkQueueAndImages() {
  for (const at::ScalarType type : {at::kInt, at::kLong}) {
    const Tensor queue = at::zeros({10, 3});
    const Tensor keys = at::randn({4, 3});
    enqueue(queue, keys, at::scalar_tensor(6, type));
    expect(at::equal(queue.narrow(0, 6, 4), keys) && queue.narrow(0, 0, 6).abs().sum().item<float>() == 0, "enqueue");
    expectError([&] { enqueue(queue, keys, at::scalar_tensor(7, type)); }, {"[4, 3] at 7", "[10, 3]", "0 to 6"}, "enqueue past the end");
    expectError([&] { enqueue(queue, at::ones({4, 2}), at::scalar_tensor(0, type)); }, {"[4, 2]"}, "enqueue shapes");
  }
  const Tensor factor = at::rand({3}) + 0.01;
  const Tensor shift = at::randn({3});
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{3}, {1, 5, 7, 3}, {2, 64, 61, 3}, {3, 9, 33, 31, 3}, {0, 4, 4, 3}}) {
    const Tensor bytes = at::randint(0, 256, shape, at::kByte);
    const Tensor expected = bytes.to(at::kDouble) * factor.to(at::kDouble) + shift.to(at::kDouble);
    const Tensor f = normaliseImages(bytes, factor, shift, at::kFloat);
    const Tensor b = normaliseImages(bytes, factor, shift, at::kBFloat16);
    expect(f.scalar_type() == at::kFloat && b.scalar_type() == at::kBFloat16 && f.sizes() == bytes.sizes(), "image types");
    expect(at::equal(f.to(at::kBFloat16), b), "images in bfloat16 round to nearest even");
    if (bytes.numel() > 0) expectClose(f, expected, 1e-6, "images " + shapeText(shape));
  }
  expectError([&] { normaliseImages(at::ones({2, 4}, at::kByte), factor, shift, at::kFloat); }, {"[2, 4]"}, "image channels");
  expectError([&] { normaliseImages(at::ones({2, 3}), factor, shift, at::kFloat); }, {"Float", "uint8"}, "image type");
  expectError([&] { normaliseImages(at::ones({2, 3}, at::kByte), factor, shift, at::kHalf); }, {"Half"}, "image result");
}

}  // namespace

void checkAllocator();     // allocator_test.cc
void checkConvolutions();  // conv_test.cc
void checkSchedule();      // schedule_test.cc

int test() {
  at::manual_seed(1);
  detco::useOneBlasThread();
  checkNorms();
  checkContrast();
  checkOptimizer();
  checkQueueAndImages();
  // Again on the caching allocator, whose memory comes back dirty: what reads before it writes fails.
  checkAllocator();
  checkNorms();
  checkContrast();
  checkOptimizer();
  checkQueueAndImages();
  checkConvolutions();
  checkSchedule();
  return report();
}

}  // namespace detco_test

int main(int count, char** arguments) {
  if (count > 1 && std::strcmp(arguments[1], "--bench") == 0) return detco_test::bench(count > 2 ? arguments[2] : "");
  return detco_test::test();
}
