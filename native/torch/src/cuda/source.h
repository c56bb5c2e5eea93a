// The text that NVRTC compiles.
#pragma once

#include <string>

#include "cuda/arguments.h"

namespace detco::cuda {

inline std::string kernelSource() {
  static const char* const kernels[] = {
#include "cuda/kernels/norm.cu"
      ,
#include "cuda/kernels/norm_grad.cu"
      ,
#include "cuda/kernels/lists.cu"
      ,
#include "cuda/kernels/contrast.cu"
      ,
#include "cuda/kernels/images.cu"
  };
  std::string source =
#include "cuda/kernels/common.cu"
      ;
  for (const char* text : {kNormArgs, kListArgs, kNceArgs, kEnqueueArgs, kImageArgs}) source.append(text).append("\n");
  for (const char* text : kernels) source.append(text);
  return source;
}

}  // namespace detco::cuda
