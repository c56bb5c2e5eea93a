// The text that NVRTC compiles.
#pragma once

#include <string>

#include "augment_point.h"
#include "crop_point.h"
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
      ,
#include "cuda/kernels/augment.cu"
      ,
#include "cuda/kernels/crop.cu"
  };
  std::string source =
#include "cuda/kernels/common.cu"
      ;
  for (const char* text : {kNormArgs, kListArgs, kNceArgs, kEnqueueArgs, kImageArgs, kAugmentArgs, kCropArgs}) {
    source.append(text).append("\n");
  }
  source.append("#define DETCO_DEVICE __device__ inline\n");
  for (const char* text : {kAugmentPoint, kCropPoint}) source.append(text).append("\n");
  for (const char* text : kernels) source.append(text);
  return source;
}

}  // namespace detco::cuda
