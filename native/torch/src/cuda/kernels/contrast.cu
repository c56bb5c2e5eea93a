R"CUDA(
// InfoNCE, one block a query. The softmax is kept up over blocks of the queue as flash attention does: `largest`
// logit so far, `sum` of exponentials and `expected` key (not divided by the sum), all relative to the largest.
constexpr int kRowThreads = 512;

__device__ inline float reduceMax(float value) {
  __shared__ float shared[kRowThreads];
  shared[threadIdx.x] = value;
  for (int half = kRowThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] = fmaxf(shared[threadIdx.x], shared[threadIdx.x + half]);
  }
  __syncthreads();
  const float result = shared[0];
  __syncthreads();
  return result;
}

__device__ inline float reduceSum(float value) {
  __shared__ float shared[kRowThreads];
  shared[threadIdx.x] = value;
  for (int half = kRowThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  __syncthreads();
  const float result = shared[0];
  __syncthreads();
  return result;
}

/** Starts with the positive alone: its exponential is 1 and its key the expected one. */
template <typename = float>
__global__ void __launch_bounds__(kRowThreads) nce_begin(NceArgs a) {
  const i64 row = static_cast<i64>(blockIdx.x) * a.dimensions;
  float dot = 0.f;
  for (int i = threadIdx.x; i < a.dimensions; i += kRowThreads) {
    dot += a.queries[row + i] * a.keys[row + i];
    a.expected[row + i] = a.keys[row + i];
  }
  dot = reduceSum(dot) * a.reciprocal;
  if (threadIdx.x == 0) {
    a.positive[blockIdx.x] = dot;
    a.largest[blockIdx.x] = dot;
    a.sum[blockIdx.x] = 1.f;
  }
}

/** logits [queries, block of the queue], not yet divided by the temperature -> their exponentials, in place. */
template <typename = float>
__global__ void __launch_bounds__(kRowThreads) nce_block(NceArgs a) {
  float* logits = a.logits + static_cast<i64>(blockIdx.x) * a.block;
  const float before = a.largest[blockIdx.x];
  float largest = before;
  for (int i = threadIdx.x; i < a.block; i += kRowThreads) largest = fmaxf(largest, logits[i] * a.reciprocal);
  largest = reduceMax(largest);
  float sum = 0.f;
  for (int i = threadIdx.x; i < a.block; i += kRowThreads) {
    const float e = expf(logits[i] * a.reciprocal - largest);
    logits[i] = e;
    sum += e;
  }
  sum = reduceSum(sum);
  const float shrink = expf(before - largest);
  float* expected = a.expected + static_cast<i64>(blockIdx.x) * a.dimensions;
  for (int i = threadIdx.x; i < a.dimensions; i += kRowThreads) expected[i] *= shrink;
  if (threadIdx.x == 0) {
    a.largest[blockIdx.x] = largest;
    a.sum[blockIdx.x] = a.sum[blockIdx.x] * shrink + sum;
  }
}

/** d loss / d query = (expected key - positive key) / (queries * temperature). */
template <typename = float>
__global__ void __launch_bounds__(kRowThreads) nce_end(NceArgs a) {
  const i64 row = static_cast<i64>(blockIdx.x) * a.dimensions;
  const float sum = a.sum[blockIdx.x];
  const float factor = a.reciprocal / gridDim.x;
  for (int i = threadIdx.x; i < a.dimensions; i += kRowThreads) {
    a.gradient[row + i] = (a.expected[row + i] / sum - a.keys[row + i]) * factor;
  }
  if (threadIdx.x == 0) a.losses[blockIdx.x] = logf(sum) + (a.largest[blockIdx.x] - a.positive[blockIdx.x]);
}

/** queue[pointer + i] = keys[i]; rows beyond the queue are not written. */
template <typename T, typename P>
__global__ void enqueue(EnqueueArgs a) {
  const i64 start = *static_cast<const P*>(a.pointer) * a.dimensions;
  const i64 limit = a.capacity * a.dimensions;
  const i64 size = a.rows * a.dimensions;
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += static_cast<i64>(gridDim.x) * blockDim.x) {
    if (start >= 0 && start + i < limit) a.queue[start + i] = toFloat(static_cast<const T*>(a.keys)[i]);
  }
}
)CUDA"
