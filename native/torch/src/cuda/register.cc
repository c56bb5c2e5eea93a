#include <torch/library.h>

#include "cuda/operators.h"

TORCH_LIBRARY_IMPL(detco, CUDA, m) {
  m.impl("grouped_batch_norm", TORCH_FN(detco::cuda::groupedBatchNorm));
  m.impl("grouped_batch_norm_grad", TORCH_FN(detco::cuda::groupedBatchNormGrad));
  m.impl("info_nce", TORCH_FN(detco::cuda::infoNce));
  m.impl("sgd_", TORCH_FN(detco::cuda::sgd));
  m.impl("lerp_", TORCH_FN(detco::cuda::lerp));
  m.impl("enqueue_", TORCH_FN(detco::cuda::enqueue));
  m.impl("normalise_images", TORCH_FN(detco::cuda::normaliseImages));
  m.impl("augment", TORCH_FN(detco::cuda::augment));
  m.impl("crop_images", TORCH_FN(detco::cuda::cropImages));
}
