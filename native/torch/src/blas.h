// OpenBLAS's own threads, where LibTorch uses it.
#pragma once
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <cstdint>

namespace detco {

// Before a matrix product of so many operations. OpenBLAS of Debian has a pool of threads of its own, which wait for the cores that OpenMP's
// threads have not left yet: for a small product waking them costs several times the product.
inline void limitBlasThreads(int64_t operations) {
  using SetThreads = void (*)(int);
  // Null with another BLAS, such as MKL in the packages of pip, whose threads are OpenMP's.
  static const auto set = []() -> SetThreads {
    void* library = dlopen("libblas.so.3", RTLD_LAZY | RTLD_NOLOAD);
    return library ? reinterpret_cast<SetThreads>(dlsym(library, "openblas_set_num_threads")) : nullptr;
  }();
  constexpr int64_t kSmall = 64'000'000;
  if (set) set(operations < kSmall ? 1 : at::get_num_threads());
}

}  // namespace detco
