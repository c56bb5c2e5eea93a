#include "blas.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace detco {
namespace {

// Operations that are worth a thread more.
constexpr int64_t kSmall = 64'000'000;

// Null where the BLAS's threads are OpenMP's.
auto setThreads() {
  static const auto set = openblas<void(int)>("openblas_set_num_threads");
  return set;
}

}  // namespace

bool hasFastProducts() {
  static const bool fast = [] {
    if (dlopen("libblas.so.3", RTLD_LAZY | RTLD_NOLOAD) == nullptr) return true;
    const auto core = openblas<const char*()>("openblas_get_corename");
    return core != nullptr && std::strcmp(core(), "Prescott") != 0;
  }();
  return fast;
}

void limitBlasThreads(int64_t operations) {
  if (const auto set = setThreads()) set(operations < kSmall ? 1 : at::get_num_threads());
}

at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b) {
  const auto set = setThreads();
  if (!set || a.scalar_type() != at::kFloat) return at::mm(a, b);
  // OpenBLAS on one thread in each of OpenMP's: its own would share the cores with those.
  set(1);
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  at::Tensor result = at::empty({m, n}, a.options());
  const int64_t along = m >= n ? 0 : 1;
  const int64_t length = std::max(m, n);
  const int64_t grain = std::max<int64_t>(16, kSmall / 4 / std::max<int64_t>(1, 2 * k * std::min(m, n)));
  at::parallel_for(0, length, grain, [&](int64_t first, int64_t last) {
    at::Tensor part = result.narrow(along, first, last - first);
    if (along == 0) at::mm_out(part, a.narrow(0, first, last - first), b);
    else at::mm_out(part, a, b.narrow(1, first, last - first));
  });
  return result;
}

}  // namespace detco
