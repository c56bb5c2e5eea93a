// Matrix products on the CPU: OpenBLAS's threads and kernels, where LibTorch uses it.
#pragma once
#include <ATen/ATen.h>
#include <dlfcn.h>

namespace detco {

// A function of OpenBLAS; null with another BLAS, such as MKL in the packages of pip.
template <typename Function>
Function* openblas(const char* name) {
  void* library = dlopen("libblas.so.3", RTLD_LAZY | RTLD_NOLOAD);
  return library ? reinterpret_cast<Function*>(dlsym(library, name)) : nullptr;
}

// Whether products run near the speed of the CPU: not with the reference BLAS of Debian, nor with OpenBLAS's kernels without AVX.
bool hasFastProducts();

// [m, k] x [k, n], on all threads.
at::Tensor matrixProduct(const at::Tensor& a, const at::Tensor& b);

// OpenBLAS of Debian has a pool of threads of its own, which wait for the cores that OpenMP's threads have not left yet: for a small product
// waking them costs several times the product. So it runs on one thread: `matrixProduct` has one in each of OpenMP's, what LibTorch multiplies by
// itself, batches of matrices and float64, has one.
void useOneBlasThread();

}  // namespace detco
