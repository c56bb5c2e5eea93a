// SGD and the momentum update over lists of tensors: a launch for every 96 of them.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"
#include "lists.h"

namespace detco::cuda {

namespace {

constexpr int kListThreads = 256;      // as in kernels/lists.cu
constexpr int64_t kListValues = 4096;  // the same
constexpr int kMostEntries = sizeof(ListArgs::entries) / sizeof(ListEntry);

void checkLists(const char* name, const char* what, at::TensorList targets, at::TensorList others, bool half) {
  TORCH_CHECK(
      targets.size() == others.size(), name, ": ", others.size(), " ", what, ": expected one for each of ", targets.size(),
      " tensors");
  for (size_t i = 0; i < targets.size(); ++i) {
    const at::Tensor& target = targets[i];
    const at::Tensor& other = others[i];
    TORCH_CHECK(
        target.scalar_type() == at::kFloat, name, ": tensor ", i, " of shape ", target.sizes(), " and type ",
        target.scalar_type(), ": expected float32");
    TORCH_CHECK(
        other.sizes() == target.sizes() && other.device() == target.device() && target.device() == targets[0].device() &&
            (other.scalar_type() == at::kFloat || (half && other.scalar_type() == at::kBFloat16)),
        name, ": ", what, " ", i, " of shape ", other.sizes(), " and type ", other.scalar_type(), " on ", other.device(),
        ": expected ", half ? "float32 or bfloat16 " : "float32 ", target.sizes(), " on ", targets[0].device());
  }
}

/** Collects tensors and launches a kernel over them whenever the arguments are full. */
class ListLaunch {
 public:
  ListLaunch(const char* kernel, const ListArgs& constants) : kernel_(kernel), arguments_(constants) {}

  void add(const at::Tensor& target, const at::Tensor& source, const at::Tensor& velocity) {
    const int64_t size = target.numel();
    if (size == 0) return;
    const int64_t blocks = (size + kListValues - 1) / kListValues;
    if (arguments_.count == kMostEntries || blocks_ + blocks > INT32_MAX) flush();
    const bool half = source.scalar_type() == at::kBFloat16;
    const bool vectors = aligned(target, 16) && aligned(source, half ? 8 : 16) && aligned(velocity, 16);
    ListEntry& entry = arguments_.entries[arguments_.count++];
    entry.target = dataOf<float>(target);
    entry.source = source.data_ptr();
    entry.velocity = velocity.defined() ? dataOf<float>(velocity) : nullptr;
    entry.size = size;
    entry.firstBlock = static_cast<int>(blocks_);
    entry.flags = (half ? 1 : 0) | (vectors ? 2 : 0);
    blocks_ += blocks;
    // Copies made for the launch must not be freed, and their memory be taken by the next copy, before it.
    kept_.push_back(source);
  }

  void flush() {
    launch(kernel_, {static_cast<unsigned>(blocks_)}, {kListThreads}, arguments_);
    arguments_.count = 0;
    blocks_ = 0;
    kept_.clear();
  }

 private:
  const char* kernel_;
  ListArgs arguments_;
  int64_t blocks_ = 0;
  std::vector<at::Tensor> kept_;
};

}  // namespace

void sgd(
    at::TensorList parameters, at::TensorList gradients, at::TensorList velocities, const at::Tensor& learningRate,
    double momentum, double weightDecay) {
  const char* name = "sgd_";
  checkLists(name, "gradients", parameters, gradients, true);
  checkLists(name, "velocities", parameters, velocities, false);
  if (parameters.empty()) return;
  TORCH_CHECK(
      learningRate.numel() == 1 && learningRate.scalar_type() == at::kFloat && learningRate.device() == parameters[0].device(),
      name, ": learning_rate of shape ", learningRate.sizes(), " and type ", learningRate.scalar_type(), " on ",
      learningRate.device(), ": expected a float32 scalar on ", parameters[0].device());
  const c10::DeviceGuard guard(parameters[0].device());
  ListArgs constants{};
  constants.rate = dataOf<float>(learningRate);
  constants.momentum = static_cast<float>(momentum);
  constants.decay = static_cast<float>(weightDecay);
  ListLaunch list("sgd<float>", constants);
  std::vector<std::pair<at::Tensor, at::Tensor>> back;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& parameter = parameters[i];
    const at::Tensor& velocity = velocities[i];
    const bool dense = parameter.is_non_overlapping_and_dense();
    const at::Tensor into = dense ? parameter : parameter.contiguous();
    const bool agrees = sameLayout(into, velocity);
    const at::Tensor speed = agrees ? velocity : copyWithLayout(velocity, into);
    list.add(into, sameLayout(into, gradients[i]) ? gradients[i] : copyWithLayout(gradients[i], into), speed);
    if (!dense) back.emplace_back(parameter, into);
    if (!agrees) back.emplace_back(velocity, speed);
  }
  list.flush();
  for (auto& [target, copy] : back) target.copy_(copy);
}

void lerp(at::TensorList targets, at::TensorList sources, double weight) {
  const char* name = "lerp_";
  checkLists(name, "sources", targets, sources, true);
  if (targets.empty()) return;
  const c10::DeviceGuard guard(targets[0].device());
  ListArgs constants{};
  constants.weight = static_cast<float>(weight);
  ListLaunch list("lerp<float>", constants);
  std::vector<std::pair<at::Tensor, at::Tensor>> back;
  for (size_t i = 0; i < targets.size(); ++i) {
    const at::Tensor& target = targets[i];
    const at::Tensor& source = sources[i];
    if (!sameLayout(target, source) && source.is_non_overlapping_and_dense() && !capturing()) {
      // The key encoder follows the query encoder every step: it takes over the layout, once. Not while a graph is
      // recorded, whose other launches may have the old address.
      target.set_(copyWithLayout(target, source));
    }
    const bool dense = target.is_non_overlapping_and_dense();
    const at::Tensor into = dense ? target : target.contiguous();
    list.add(into, sameLayout(into, source) ? source : copyWithLayout(source, into), at::Tensor());
    if (!dense) back.emplace_back(target, into);
  }
  list.flush();
  for (auto& [target, copy] : back) target.copy_(copy);
}

}  // namespace detco::cuda
