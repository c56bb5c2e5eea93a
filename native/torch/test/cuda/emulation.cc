// The CUDA operators on a CPU: the kernels' text compiled as C++, a block's threads as fibers that take turns at
// __syncthreads. Slow, but it checks index arithmetic, reductions and the host code around them where there is no GPU: CMake
// builds it with -DDETCO_TESTS=ON, as `cuda_test`, where LibTorch has no CUDA.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

#include "fused_checks.h"
#include "augment_point.h"
#include "crop_point.h"
#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace emulated {

using namespace detco;
using namespace detco::cuda;

// Plain globals, set as fibers are switched.
struct Index {
  int x, y, z;
};
Index threadIdx, blockIdx, blockDim, gridDim;

struct Fiber {
  ucontext_t context;
  Index index;
  bool done;
};
constexpr size_t kStack = 64 * 1024;
ucontext_t scheduler;
Fiber* current = nullptr;
std::function<void()> body;

void enter() {
  body();
  current->done = true;
  swapcontext(&current->context, &scheduler);
}

/** Yields; by the time it returns every thread of the block has got here or ended. */
void barrier() {
  swapcontext(&current->context, &scheduler);
  threadIdx = current->index;
}

void runBlock(Grid block) {
  const size_t threads = size_t{block.x} * block.y * block.z;
  static std::vector<Fiber> fibers(1024);
  static std::vector<char> stacks(1024 * kStack);
  for (size_t i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    fiber.index = {static_cast<int>(i % block.x), static_cast<int>(i / block.x % block.y), static_cast<int>(i / block.x / block.y)};
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks.data() + i * kStack;
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
  for (bool alive = true; alive;) {
    alive = false;
    for (size_t i = 0; i < threads; ++i) {
      if (fibers[i].done) continue;
      current = &fibers[i];
      threadIdx = current->index;
      swapcontext(&scheduler, &current->context);
      alive = alive || !current->done;
    }
  }
}

inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline int min(int a, int b) { return std::min(a, b); }
inline int max(int a, int b) { return std::max(a, b); }

// Fibers take turns: nothing comes between.
inline void atomicAdd(int* to, int value) { *to += value; }
inline void atomicMax(int* to, int value) { *to = std::max(*to, value); }

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __syncthreads barrier
#include "kernels.inc"
#undef __shared__

std::map<std::string, std::function<void(void*)>> kernels;

template <typename Argument>
void add(std::string name, void (*kernel)(Argument)) {
  name.erase(std::remove(name.begin(), name.end(), ' '), name.end());
  kernels[name] = [kernel](void* argument) { kernel(*static_cast<Argument*>(argument)); };
}
#define ADD(...) add(#__VA_ARGS__, &__VA_ARGS__)
#define ADD_FLAGS(T, R, V)                                                                        \
  ADD(norm_apply<T, R, V, false, false>), ADD(norm_apply<T, R, V, false, true>),                  \
      ADD(norm_apply<T, R, V, true, false>), ADD(norm_apply<T, R, V, true, true>),                \
      ADD(norm_grad_partial<T, R, V, false, false>), ADD(norm_grad_partial<T, R, V, false, true>), \
      ADD(norm_grad_partial<T, R, V, true, false>), ADD(norm_grad_partial<T, R, V, true, true>),  \
      ADD(norm_grad_apply<T, R, V, false>), ADD(norm_grad_apply<T, R, V, true>)
#define ADD_WIDTH(T, V) ADD(norm_partial<T, V>), ADD_FLAGS(T, float, V), ADD_FLAGS(T, bf16, V)
#define ADD_TYPE(T)                                                                                \
  ADD_WIDTH(T, 1), ADD_WIDTH(T, 4), ADD_WIDTH(T, 8), ADD(normalise<T>), ADD(augment<T>), ADD(enqueue<T, int>), \
      add("enqueue<" #T ",long long>", &enqueue<T, long long>), kernels["enqueue<" #T ",long long>"] = kernels["enqueue<" #T ",longlong>"]

void addAll() {
  ADD_TYPE(float);
  ADD_TYPE(bf16);
  ADD(norm_finalise<float>), ADD(norm_grad_finalise<float>), ADD(sgd<float>), ADD(lerp<float>);
  ADD(nce_begin<float>), ADD(nce_block<float>), ADD(nce_end<float>), ADD(crop<float>);
}

}  // namespace emulated

namespace detco::cuda {

// Few, so that small tensors give chunks of several rows.
int multiprocessors() { return 6; }
bool capturing() { return false; }

void launchKernel(const std::string& kernel, Grid grid, Grid block, void* argument) {
  const auto found = emulated::kernels.find(kernel);
  TORCH_CHECK(found != emulated::kernels.end(), "no kernel ", kernel);
  emulated::body = [&] { found->second(argument); };
  emulated::blockDim = {static_cast<int>(block.x), static_cast<int>(block.y), static_cast<int>(block.z)};
  emulated::gridDim = {static_cast<int>(grid.x), static_cast<int>(grid.y), static_cast<int>(grid.z)};
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        emulated::blockIdx = {static_cast<int>(x), static_cast<int>(y), static_cast<int>(z)};
        emulated::runBlock(block);
      }
    }
  }
}

}  // namespace detco::cuda

int main() {
  emulated::addAll();
  at::manual_seed(1);
  using namespace detco;
  test::Checks checks(
      {at::kCPU, cuda::groupedBatchNorm, cuda::groupedBatchNormGrad, cuda::infoNce, cuda::sgd, cuda::lerp, cuda::enqueue,
       cuda::normaliseImages, cuda::augment, cuda::cropImages});
  checks.images();
  checks.augment(30, 17, 23);
  // Columns that a block does not hold all at once, and a picture without neighbours.
  checks.augment(12, 150, 40);
  checks.augment(12, 2, 9);
  checks.crop(24, 5);
  checks.crop(3, 150);
  checks.enqueue();
  checks.lists();
  checks.norm({8, 2, 2, 16}, 8);
  checks.norm({6, 5, 7, 10}, 3);
  checks.norm({16, 12}, 2);
  checks.norm({6, 9, 9, 24}, 1);
  checks.norm({64, 2, 2, 32}, 64);
  checks.norm({48, 6, 6, 40}, 16);
  checks.norm({4, 28, 28, 64}, 2, 10);
  checks.norm({16, 5, 5, 520}, 8);
  checks.infoNce(6, 16, 1000);
  checks.infoNce(3, 128, 257);
  // More logits than are held at once.
  checks.infoNce(512, 16, 33000);
  return checks.failed() == 0 ? 0 : 1;
}
