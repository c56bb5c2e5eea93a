// What the kernels are given: the structs as C++ for the host, and as text for NVRTC, from one definition.
#pragma once

#include "shared_text.h"

namespace detco::cuda {

// rows: of one group. chunkRows: of one block. lanes: threads that share a group in the finalising kernels.
// first, second: mean and variance forwards, d_scale and d_offset backwards, [channels].
// partial [groups, chunks, 2, channels]; sums [groups, 2, channels].
DETCO_SHARED(kNormArgs, struct NormArgs {
  const void* x;
  const void* y;
  const void* dy;
  const void* residual;
  void* out;
  const float* scale;
  const float* offset;
  float* groupMean;
  float* groupInverse;
  float* partial;
  float* sums;
  float* first;
  float* second;
  int groups;
  int rows;
  int channels;
  int chunks;
  int chunkRows;
  int lanes;
  float epsilon;
};)

// 96 tensors a launch keep the arguments under the 4096 bytes that every CUDA accepts.
// flags: 1 the source is bfloat16, 2 all pointers are aligned for loads of four values.
DETCO_SHARED(kListArgs, struct ListEntry {
  float* target;
  const void* source;
  float* velocity;
  long long size;
  int firstBlock;
  int flags;
};
struct ListArgs {
  ListEntry entries[96];
  const float* rate;
  int count;
  float momentum;
  float decay;
  float weight;
};)

// reciprocal: 1 / temperature. block: keys of the queue in `logits`.
DETCO_SHARED(kNceArgs, struct NceArgs {
  const float* queries;
  const float* keys;
  float* logits;
  float* expected;
  float* positive;
  float* largest;
  float* sum;
  float* losses;
  float* gradient;
  int dimensions;
  int block;
  float reciprocal;
};)

DETCO_SHARED(kEnqueueArgs, struct EnqueueArgs {
  float* queue;
  const void* keys;
  const void* pointer;
  long long rows;
  long long capacity;
  long long dimensions;
};)

DETCO_SHARED(kImageArgs, struct ImageArgs {
  const unsigned char* bytes;
  const float* factor;
  const float* shift;
  void* out;
  long long size;
  int aligned;
};)

// from, next: levels that the pass reads and writes, out: normalised, all [N, H, W, 3]. table [N, steps, 8].
// statistics [N, passes, 775], of pictures as a pass finds them.
DETCO_SHARED(kAugmentArgs, struct AugmentArgs {
  const float* from;
  float* next;
  void* out;
  const double* table;
  int* statistics;
  const float* factor;
  const float* shift;
  int steps;
  int pass;
  int passes;
  int height;
  int width;
};)

// pixels: images back to back. table [N, 11]. out [N, size, size, 3], levels.
DETCO_SHARED(kCropArgs, struct CropArgs {
  const unsigned char* pixels;
  const double* table;
  float* out;
  int size;
};)

static_assert(sizeof(ListArgs) <= 4096, "kernel arguments are limited to 4096 bytes");

}  // namespace detco::cuda
