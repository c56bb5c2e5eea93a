// What cannot be checked without a GPU: each CUDA operator against the CPU's, a recorded graph, uploads and reads, and
// the speed of batch norm beside ATen's. CMake builds it with -DDETCO_TESTS=ON; in one command, from native/torch
// with LibTorch's CUDA build in $LIBTORCH and CUDA's headers and libcudart in $CUDA:
//
//   I="-Isrc -I$LIBTORCH/include -I$LIBTORCH/include/torch/csrc/api/include -I$CUDA/include"
//   S="test/cuda/cuda_test.cc src/cuda/*.cc $(ls src/{schemas,norm,optimizer,contrast,images,augment,crop}.cc)"
//   L="-L$LIBTORCH/lib -Wl,--no-as-needed -ltorch_cuda -ltorch_cpu -lc10_cuda -lc10 $(ls $CUDA/lib/libcudart.so.*)"
//   R="-Wl,--disable-new-dtags -Wl,-rpath,$LIBTORCH/lib -Wl,-rpath,$CUDA/lib -Wl,--allow-shlib-undefined"
//   g++ -std=c++17 -O2 -march=native -fopenmp -DDETCO_CUDA $I $S $L $R -ldl -o cuda_test && ./cuda_test
//
// Arguments: `checks`, `graph` or `speed` for one part alone.
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cstring>
#include <numeric>

#include "device.h"
#include "fused_checks.h"

namespace detco::test {

namespace {

/** Milliseconds a call, of the median of five rounds. */
double timed(const std::function<void()>& call) {
  constexpr int rounds = 5, calls = 10;
  for (int i = 0; i < 3; ++i) call();
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    synchronize();
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() / calls);
  }
  std::sort(times.begin(), times.end());
  return times[rounds / 2];
}

void checkAll(Checks& checks) {
  checks.images();
  checks.augment(64, 224, 224);
  checks.crop(64, 224);
  checks.enqueue();
  checks.lists();
  checks.norm({8, 2, 2, 16}, 8);
  checks.norm({6, 5, 7, 10}, 3);
  checks.norm({16, 12}, 2);
  checks.norm({64, 2, 2, 32}, 64);
  checks.norm({48, 6, 6, 40}, 16);
  checks.norm({4, 28, 28, 64}, 2, 10);
  checks.norm({72, 16, 16, 64}, 8);
  checks.norm({32, 7, 7, 2048}, 8);
  checks.norm({8, 112, 112, 64}, 8);
  checks.infoNce(6, 16, 1000);
  checks.infoNce(64, 128, 65536);
  // More logits than are held at once.
  checks.infoNce(512, 128, 65536);
}

/** The same bits from the same input: sums must not depend on the order in which blocks end. */
void checkRepeats(Checks& checks, const Operators& operators) {
  const auto options = at::TensorOptions().device(operators.device);
  const at::Tensor x = at::randn({64, 28, 28, 128}, options), dy = at::randn({64, 28, 28, 128}, options);
  const at::Tensor scale = at::rand({128}, options), offset = at::randn({128}, options);
  const auto run = [&] {
    const auto [y, mean, variance, groupMean, groupInverse] = operators.norm(x, scale, offset, c10::nullopt, 8, 1e-5, true);
    const auto [dx, dScale, dOffset, dResidual] = operators.normGrad(x, y, dy, scale, groupMean, groupInverse, 8, false);
    return Tensors{y.cpu(), mean.cpu(), variance.cpu(), dx.cpu(), dScale.cpu(), dOffset.cpu()};
  };
  const Tensors first = run();
  for (int i = 0; i < 5; ++i) {
    const Tensors again = run();
    for (size_t j = 0; j < first.size(); ++j) checks.close(again[j], first[j], 0, 0, "repeat");
  }
  checks.line("batch norm gives the same bits each time");
}

/** A training step in small, as a graph and as plain calls. */
void checkGraph(Checks& checks, const Operators& operators) {
  const auto options = at::TensorOptions().device(operators.device);
  const at::Tensor x = at::randn({16, 14, 14, 32}, options), weight = at::randn({32, 32, 3, 3}, options) / 17;
  const at::Tensor scale = at::rand({32}, options) + 0.5, offset = at::randn({32}, options);
  const at::Tensor queue = at::randn({256, 32}, options), rate = at::scalar_tensor(0.1, options);
  const at::Tensor pointer = at::zeros({}, options.dtype(at::kInt));
  const at::Tensor shadow = weight.clone();
  const at::Tensor velocity = at::zeros_like(weight);
  const auto step = [&] {
    const at::Tensor image = x.permute({0, 3, 1, 2});
    const at::Tensor h = at::conv2d(image, weight.contiguous(at::MemoryFormat::ChannelsLast), {}, 1, 1).permute({0, 2, 3, 1});
    const auto [y, mean, variance, groupMean, groupInverse] = operators.norm(h, scale, offset, c10::nullopt, 4, 1e-5, true);
    const auto [dh, dScale, dOffset, dResidual] = operators.normGrad(h, y, y, scale, groupMean, groupInverse, 4, false);
    const at::Tensor features = y.mean({1, 2});
    const auto [loss, gradient] = operators.infoNce(features, features, queue, 0.2);
    const at::Tensor g = std::get<1>(at::convolution_backward(
        dh.permute({0, 3, 1, 2}), image, weight, c10::nullopt, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 1, {false, true, false}));
    operators.sgd({weight}, {g}, {velocity}, rate, 0.9, 1e-4);
    operators.lerp({shadow}, {weight}, 0.1);
    operators.enqueue(queue, features, pointer);
    pointer.add_(16).remainder_(256);
    return loss + gradient.square().sum();
  };
  const Tensors state{weight, shadow, velocity, queue, pointer};
  for (int i = 0; i < 3; ++i) step();
  Tensors start;
  for (const at::Tensor& each : state) start.push_back(each.clone());
  const auto restore = [&] {
    for (size_t i = 0; i < state.size(); ++i) state[i].copy_(start[i]);
  };

  Tensors wanted;
  for (int i = 0; i < 4; ++i) {
    rate.fill_(0.1 / (i + 1));
    wanted.push_back(step().cpu());
  }
  for (const at::Tensor& each : state) wanted.push_back(each.cpu());

  restore();
  Graph graph;
  graph.begin();
  const at::Tensor loss = step();
  graph.end();
  restore();
  Tensors got;
  for (int i = 0; i < 4; ++i) {
    // Read on the device: the graph must see it change.
    rate.fill_(0.1 / (i + 1));
    graph.replay();
    got.push_back(loss.cpu());
  }
  for (const at::Tensor& each : state) got.push_back(each.cpu());
  // Not to the bit: cuDNN may choose another algorithm while recording.
  for (size_t i = 0; i < got.size(); ++i) checks.close(got[i], wanted[i], 1e-3, 1e-3, i < 4 ? "loss" : "state");
  checks.line("graph of a training step");

  // An operator that fails while it is recorded leaves a device that works.
  try {
    Graph failing;
    failing.begin();
    operators.enqueue(queue, x, pointer);
  } catch (const std::exception&) {
    const at::Tensor again = at::ones({1000}, options).sum();
    checks.close(again, at::scalar_tensor(1000.), 0, 0, "after failure");
  }
  try {
    Graph failing;
    failing.begin();
    at::ones({4}, options).sum().item<float>();
  } catch (const std::exception& error) {
    const at::Tensor again = at::ones({1000}, options).sum();
    checks.close(again, at::scalar_tensor(1000.), 0, 0, "after a wait for the device");
  }
  checks.line("recordings that fail");
}

void checkTransfers(Checks& checks, const Operators& operators) {
  std::vector<uint8_t> bytes(size_t{1} << 24);
  const auto options = at::TensorOptions().device(operators.device);
  const at::Tensor busy = at::randn({4096, 4096}, options);
  std::vector<std::pair<at::Tensor, int>> uploaded;
  for (int i = 0; i < 40; ++i) {
    std::fill(bytes.begin(), bytes.end(), static_cast<uint8_t>(i));
    const at::Tensor tensor = uploadAsync(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte, operators.device);
    // The caller's bytes may change at once, and freed tensors be used again by later uploads.
    std::fill(bytes.begin(), bytes.end(), 255);
    at::mm(busy, busy);
    uploaded.emplace_back(tensor.sum(at::kLong), i);
  }
  for (const auto& [sum, i] : uploaded) {
    checks.close(sum, at::scalar_tensor(static_cast<int64_t>(bytes.size()) * i, at::TensorOptions().dtype(at::kLong)), 0, 0, "upload");
  }
  const at::Tensor value = at::randn({1000, 100}, options).t();
  const at::Tensor before = value.cpu();
  const PendingRead read = readAsync(value);
  value.zero_();
  read.wait();
  checks.close(read.host, before, 0, 0, "read");
  checks.line("uploads and reads");
  const double ms = timed([&] { uploadAsync(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte, operators.device); });
  std::printf("upload of 16 MiB: %.2f ms, %.1f GB/s\n", ms, bytes.size() / ms / 1e6);
}

void speed(const Operators& operators, at::IntArrayRef sizes, at::ScalarType type, int64_t groups) {
  const auto options = at::TensorOptions().device(operators.device);
  const int64_t channels = sizes.back();
  const at::Tensor x = at::randn(sizes, options.dtype(type)), added = at::randn(sizes, options.dtype(type));
  const at::Tensor dy = at::randn(sizes, options.dtype(type));
  const at::Tensor scale = at::rand({channels}, options), offset = at::randn({channels}, options);
  const at::Tensor mean = at::zeros({channels}, options), variance = at::ones({channels}, options);
  const double gigabytes = static_cast<double>(x.nbytes()) / 1e9;
  const at::Tensor images = x.permute({0, 3, 1, 2}), addedImages = added.permute({0, 3, 1, 2});
  for (const bool residual : {false, true}) {
    const c10::optional<at::Tensor> with = residual ? c10::optional<at::Tensor>(added) : c10::nullopt;
    const auto ours = operators.norm(x, scale, offset, with, groups, 1e-5, true);
    const double forward = timed([&] { operators.norm(x, scale, offset, with, groups, 1e-5, true); });
    const double backward = timed([&] {
      operators.normGrad(x, std::get<0>(ours), dy, scale, std::get<3>(ours), std::get<4>(ours), groups, residual);
    });
    const double theirs = timed([&] {
      at::Tensor y = at::batch_norm(images, scale, offset, mean, variance, true, 0.1, 1e-5, true);
      if (residual) y.add_(addedImages);
      y.relu_();
    });
    const std::string name = c10::str(sizes, type == at::kFloat ? " fp32" : " bf16", " in ", groups, residual ? " groups + residual" : " groups");
    // Tensors moved: x twice, y (and the residual) forwards; x, y, dy twice and dx backwards, where the masked dy is written
    // once and read instead of y and dy if it is wanted.
    const double forwardMoves = residual ? 4 : 3, backwardMoves = 7;
    std::printf(
        "norm %s: forward %.3f ms %.0f GB/s, backward %.3f ms %.0f GB/s; ATen batch_norm%s+relu forward %.3f ms, ratio %.2f\n",
        name.c_str(), forward, gigabytes * forwardMoves / forward * 1e3, backward, gigabytes * backwardMoves / backward * 1e3,
        residual ? "+add" : "", theirs, theirs / forward);
    std::fflush(stdout);
  }
}

}  // namespace

int run(const std::string& part) {
  const std::string reason = cudaUnavailableReason();
  if (!reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 0;
  }
  for (const DeviceInfo& device : cudaDevices()) {
    std::printf("%s, compute capability %s, %.1f GiB\n", device.name.c_str(), device.capability.c_str(), device.totalBytes / 1073741824.0);
  }
  const at::Device device(at::kCUDA, 0);
  startDevice(device, /*tf32=*/false);
  at::manual_seed(1);
  const at::NoGradGuard noGrad;
  const Operators operators = registeredFor(device);
  Checks checks(operators);
  if (part.empty() || part == "checks") {
    checkAll(checks);
    checkRepeats(checks, operators);
    checkTransfers(checks, operators);
  }
  if (part.empty() || part == "speed") {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      speed(operators, {256, 112, 112, 64}, type, 8);
      speed(operators, {256, 56, 56, 256}, type, 8);
      speed(operators, {256, 7, 7, 2048}, type, 8);
      speed(operators, {2304, 16, 16, 64}, type, 8);
    }
  }
  // Last: a recording that CUDA gave up leaves the device's random number generator unusable.
  if (part.empty() || part == "graph") checkGraph(checks, operators);
  const DeviceMemory memory = deviceMemory();
  std::printf(
      "memory: %.0f MiB allocated, %.0f reserved, %.0f at most\n", memory.allocatedBytes / 1048576.0,
      memory.reservedBytes / 1048576.0, memory.peakBytes / 1048576.0);
  return checks.failed() == 0 ? 0 : 1;
}

}  // namespace detco::test

int main(int count, char** arguments) {
  try {
    return detco::test::run(count > 1 ? arguments[1] : "");
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    return 1;
  }
}
