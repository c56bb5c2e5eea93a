// Kernels by name. The text in kernels/ is compiled at run time by NVRTC, as PyTorch's own jiterator does, so that
// building this needs no nvcc; each kernel is compiled for the device at its first launch and kept.
//
// No CUDA types here: test/cuda/emulation.cc implements the same functions on a CPU.
#pragma once

#include <ATen/ATen.h>

#include <string>

namespace detco::cuda {

struct Grid {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

/** Multiprocessors of the current device. */
int multiprocessors();

/** True while the current stream records a graph. */
bool capturing();

/**
 * Runs a kernel on the current stream of the current device.
 * @param kernel its C++ name: "norm_apply<float,float,4,false,true>"
 * @param argument the kernel's one argument, a struct of arguments.h
 */
void launchKernel(const std::string& kernel, Grid grid, Grid block, void* argument);

template <typename Argument>
void launch(const std::string& kernel, Grid grid, Grid block, Argument argument) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  launchKernel(kernel, grid, block, &argument);
}

/** The type's name in the kernels' text. */
inline const char* typeName(const at::Tensor& tensor) { return tensor.scalar_type() == at::kBFloat16 ? "bf16" : "float"; }

inline bool aligned(const at::Tensor& tensor, size_t bytes) {
  return !tensor.defined() || reinterpret_cast<uintptr_t>(tensor.data_ptr()) % bytes == 0;
}

template <typename T>
T* dataOf(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace detco::cuda
