// Schemas of the fused operators. Each device registers its kernels under them in its own files, so that one boxed call
// by name through the dispatcher reaches the CPU's or CUDA's.
#include <torch/library.h>

TORCH_LIBRARY(detco, m) {
  // x [N, ..., C] cut along N into `groups`; group_mean and group_inverse [groups, C] are kept for the gradient.
  m.def(
      "grouped_batch_norm(Tensor x, Tensor scale, Tensor offset, Tensor? residual, int groups, float epsilon, bool relu)"
      " -> (Tensor y, Tensor mean, Tensor variance, Tensor group_mean, Tensor group_inverse)");
  // `y`, the forward output, masks dy by y > 0 when relu was fused; d_residual is undefined unless `residual`.
  m.def(
      "grouped_batch_norm_grad(Tensor x, Tensor? y, Tensor dy, Tensor scale, Tensor group_mean, Tensor group_inverse,"
      " int groups, bool residual) -> (Tensor dx, Tensor d_scale, Tensor d_offset, Tensor d_residual)");
  // queries, keys [N, D], queue [K, D] -> loss [], d loss / d queries [N, D]
  m.def("info_nce(Tensor queries, Tensor keys, Tensor queue, float temperature) -> (Tensor loss, Tensor d_queries)");
  // v <- momentum v + (g + weight_decay p); p <- p - lr v
  m.def(
      "sgd_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] velocities, Tensor learning_rate, float momentum,"
      " float weight_decay) -> ()");
  m.def("lerp_(Tensor(a!)[] targets, Tensor[] sources, float weight) -> ()");
  // queue[pointer .. pointer + n) <- keys
  m.def("enqueue_(Tensor(a!) queue, Tensor keys, Tensor pointer) -> ()");
  // uint8 [..., 3] -> x * factor[c] + shift[c]
  m.def("normalise_images(Tensor bytes, Tensor factor, Tensor shift, ScalarType dtype) -> Tensor");
  // levels [N, H, W, 3], table [N, rows, 8] of a code, six parameters and a pass, as src/engine/operations/picture-steps.ts packs them:
  // each picture's steps done, then x * factor[c] + shift[c]
  m.def(
      "augment(Tensor levels, Tensor table, Tensor factor, Tensor shift, int passes, ScalarType dtype) -> Tensor");
  // pixels uint8, RGB of images back to back; table [N, 11] as src/engine/torch/jpegs.ts packs it -> levels, float32 [N, size, size, 3]
  m.def("crop_images(Tensor pixels, Tensor table, int size) -> Tensor");
  // Collectives write to `turn`, and so are made in the order in which they were recorded: all ranks have to have the same.
  m.def("all_mean(Tensor(a!) turn, Tensor[] tensors) -> Tensor[]");
  m.def("all_gather(Tensor(a!) turn, Tensor tensor) -> Tensor");
  m.def("broadcast_(Tensor(a!) turn, Tensor(b!)[] tensors, int root) -> ()");
}
