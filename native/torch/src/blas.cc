#include "blas.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace detco {
namespace {

// Operations that are worth one of OpenMP's threads more.
constexpr int64_t kGrain = 16'000'000;

// Sets the number of OpenBLAS's own threads; null where they are OpenMP's, and to set their number would set LibTorch's.
auto ownThreads() {
  static const auto set = []() -> void (*)(int) {
    constexpr int kPthreads = 1;
    const auto parallel = openblas<int()>("openblas_get_parallel");
    return parallel != nullptr && parallel() == kPthreads ? openblas<void(int)>("openblas_set_num_threads") : nullptr;
  }();
  return set;
}

// A matrix that BLAS takes as it is.
at::Tensor readable(const at::Tensor& matrix) {
  return matrix.stride(0) == 1 || matrix.stride(1) == 1 ? matrix : matrix.contiguous();
}

}  // namespace

bool hasFastProducts() {
  static const bool fast = [] {
    if (dlopen("libblas.so.3", RTLD_LAZY | RTLD_NOLOAD) == nullptr) return true;
    const auto core = openblas<const char*()>("openblas_get_corename");
    // What it takes for CPUs that it does not know, as src/engine/torch/blas.ts says.
    return core != nullptr && core() != std::string_view("Prescott") && core() != std::string_view("Barcelona");
  }();
  return fast;
}

void useOneBlasThread() {
  if (const auto set = ownThreads()) set(1);
}

at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b) {
  if (!ownThreads() || a.scalar_type() != at::kFloat || b.scalar_type() != at::kFloat || a.size(1) != b.size(0)) return at::mm(a, b);
  const at::Tensor left = readable(a), right = readable(b);
  const int64_t m = a.size(0), n = b.size(1);
  at::Tensor result = at::empty({m, n}, a.options());
  const int64_t along = m >= n ? 0 : 1;
  const int64_t grain = std::max<int64_t>(8, kGrain / std::max<int64_t>(1, 2 * a.size(1) * std::min(m, n)));
  at::parallel_for(0, std::max(m, n), grain, [&](int64_t first, int64_t last) {
    // Of the thread, as in the caller's.
    const at::AutoDispatchBelowADInplaceOrView guard;
    at::Tensor part = result.narrow(along, first, last - first);
    if (along == 0) at::mm_out(part, left.narrow(0, first, last - first), right);
    else at::mm_out(part, left, right.narrow(1, first, last - first));
  });
  return result;
}

}  // namespace detco
