R"CUDA(
// Grouped batch norm over rows of `channels` values; group g owns rows [g * rows, (g + 1) * rows).
//
//   norm_partial    x            -> mean and sum of squared deviations of each (group, chunk of rows, channel)
//   norm_finalise                -> statistics of each (group, channel), and their means over groups
//   norm_apply      x, residual  -> y
//   norm_grad_partial / _finalise / _apply   the same three steps backwards
//
// A block is (threads over channels, threads over rows), 256 in all; the grid is (channel tiles, chunks, groups).

constexpr int kThreads = 256;
// Blocks that a multiprocessor holds at once, which is what the host cuts the rows for: 64 registers a thread.
constexpr int kResident = 4;
// Rows of each tensor that a thread has on their way from memory: more where it reads one tensor only.
constexpr int kAheadOfOne = 4;
constexpr int kAhead = 2;

/** Merges the statistics of b into those of a (Chan, Golub, LeVeque 1979): exact whatever the means. */
__device__ inline void merge(float& count, float& mean, float& m2, float countB, float meanB, float m2B) {
  if (countB == 0.f) return;
  const float total = count + countB;
  const float delta = meanB - mean;
  const float share = countB / total;
  mean += delta * share;
  m2 += m2B + delta * delta * count * share;
  count = total;
}

/** Where a block of the row kernels works. */
template <int V>
struct Place {
  int channel;
  bool inside;
  int row;
  int end;
  int stride;
  i64 base;
  __device__ explicit Place(const NormArgs& a) {
    channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    inside = channel < a.channels;
    const int begin = blockIdx.y * a.chunkRows;
    row = begin + threadIdx.y;
    end = min(begin + a.chunkRows, a.rows);
    if (!inside) end = row;
    stride = blockDim.y;
    base = static_cast<i64>(blockIdx.z) * a.rows * a.channels + channel;
  }
  /** First element of this thread's V channels in a row of its group. */
  __device__ i64 at(const NormArgs& a, int r) const { return base + static_cast<i64>(r) * a.channels; }
};

template <typename T, int V>
__global__ void __launch_bounds__(kThreads, kResident) norm_partial(NormArgs a) {
  __shared__ float counts[kThreads];
  __shared__ float means[kThreads * V];
  __shared__ float m2s[kThreads * V];
  const int thread = threadIdx.y * blockDim.x + threadIdx.x;
  const Place<V> place(a);
  const T* x = static_cast<const T*>(a.x);

  // Sums shifted by the thread's own first value: being one of the values summed, it cannot be so far from their
  // mean that the difference of squares below cancels more than it weighs in the result.
  float shift[V] = {}, sum[V] = {}, squares[V] = {};
  int row = place.row, count = 0;
  if (row < place.end) {
    const Pack<T, V> first = read<V>(x + place.at(a, row));
#pragma unroll
    for (int i = 0; i < V; i++) shift[i] = toFloat(first.values[i]);
  }
  for (; row + (kAheadOfOne - 1) * place.stride < place.end; row += kAheadOfOne * place.stride) {
    Pack<T, V> packs[kAheadOfOne];
#pragma unroll
    for (int u = 0; u < kAheadOfOne; u++) packs[u] = read<V>(x + place.at(a, row + u * place.stride));
#pragma unroll
    for (int u = 0; u < kAheadOfOne; u++) {
#pragma unroll
      for (int i = 0; i < V; i++) {
        const float d = toFloat(packs[u].values[i]) - shift[i];
        sum[i] += d;
        squares[i] += d * d;
      }
    }
    count += kAheadOfOne;
  }
  for (; row < place.end; row += place.stride) {
    const Pack<T, V> pack = read<V>(x + place.at(a, row));
#pragma unroll
    for (int i = 0; i < V; i++) {
      const float d = toFloat(pack.values[i]) - shift[i];
      sum[i] += d;
      squares[i] += d * d;
    }
    count++;
  }

  const float reciprocal = count > 0 ? 1.f / count : 0.f;
  counts[thread] = count;
#pragma unroll
  for (int i = 0; i < V; i++) {
    const float d = sum[i] * reciprocal;
    means[i * kThreads + thread] = shift[i] + d;
    m2s[i * kThreads + thread] = fmaxf(squares[i] - sum[i] * d, 0.f);
  }
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half) {
      const int other = thread + half * blockDim.x;
      float n = counts[thread];
#pragma unroll
      for (int i = 0; i < V; i++) {
        n = counts[thread];
        merge(n, means[i * kThreads + thread], m2s[i * kThreads + thread], counts[other], means[i * kThreads + other],
              m2s[i * kThreads + other]);
      }
      counts[thread] = n;
    }
  }
  if (threadIdx.y == 0 && place.inside) {
    float* out = a.partial + (static_cast<i64>(blockIdx.z) * a.chunks + blockIdx.y) * 2 * a.channels + place.channel;
#pragma unroll
    for (int i = 0; i < V; i++) {
      out[i] = means[i * kThreads + thread];
      out[a.channels + i] = m2s[i * kThreads + thread];
    }
  }
}

// The finalising kernels: block (32 channels, 32), the second cut into slots of `lanes` threads, a slot for a group.
constexpr int kSide = 32;

template <typename = float>
__global__ void __launch_bounds__(kSide * kSide) norm_finalise(NormArgs a) {
  __shared__ float counts[kSide][kSide];
  __shared__ float means[kSide][kSide];
  __shared__ float m2s[kSide][kSide];
  const int x = threadIdx.x, y = threadIdx.y;
  const int channel = blockIdx.x * kSide + x;
  const int lane = y % a.lanes, slot = y / a.lanes, slots = kSide / a.lanes;
  float meanSum = 0.f, varianceSum = 0.f;
  for (int first = 0; first < a.groups; first += slots) {
    const int group = first + slot;
    const bool inside = group < a.groups && channel < a.channels;
    float count = 0.f, mean = 0.f, m2 = 0.f;
    if (inside) {
      for (int chunk = lane; chunk < a.chunks; chunk += a.lanes) {
        const float* in = a.partial + (static_cast<i64>(group) * a.chunks + chunk) * 2 * a.channels + channel;
        merge(count, mean, m2, min(a.chunkRows, a.rows - chunk * a.chunkRows), in[0], in[a.channels]);
      }
    }
    counts[y][x] = count;
    means[y][x] = mean;
    m2s[y][x] = m2;
    for (int half = a.lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) merge(counts[y][x], means[y][x], m2s[y][x], counts[y + half][x], means[y + half][x], m2s[y + half][x]);
    }
    __syncthreads();
    if (inside && lane == 0) {
      const i64 at = static_cast<i64>(group) * a.channels + channel;
      a.groupMean[at] = means[y][x];
      a.groupInverse[at] = 1.f / sqrtf(m2s[y][x] / a.rows + a.epsilon);
      meanSum += means[y][x];
      varianceSum += m2s[y][x] / max(a.rows - 1, 1);
    }
    __syncthreads();
  }
  means[y][x] = meanSum;
  m2s[y][x] = varianceSum;
  __syncthreads();
  if (y == 0 && channel < a.channels) {
    for (int s = 1; s < slots; s++) {
      meanSum += means[s * a.lanes][x];
      varianceSum += m2s[s * a.lanes][x];
    }
    a.first[channel] = meanSum / a.groups;
    a.second[channel] = varianceSum / a.groups;
  }
}

template <typename T, typename R, int V, bool residual, bool relu>
__global__ void __launch_bounds__(kThreads, kResident) norm_apply(NormArgs a) {
  const Place<V> place(a);
  if (!place.inside) return;
  const T* __restrict__ x = static_cast<const T*>(a.x);
  const R* __restrict__ added = static_cast<const R*>(a.residual);
  T* __restrict__ y = static_cast<T*>(a.out);
  float mean[V], factor[V], offset[V];
#pragma unroll
  for (int i = 0; i < V; i++) {
    const i64 at = static_cast<i64>(blockIdx.z) * a.channels + place.channel + i;
    mean[i] = a.groupMean[at];
    factor[i] = a.groupInverse[at] * a.scale[place.channel + i];
    offset[i] = a.offset[place.channel + i];
  }
  for (int row = place.row; row < place.end; row += kAhead * place.stride) {
    Pack<T, V> packs[kAhead];
    Pack<R, V> adds[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        packs[u] = read<V>(x + place.at(a, r));
        if (residual) adds[u] = read<V>(added + place.at(a, r));
      }
    }
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        float out[V];
#pragma unroll
        for (int i = 0; i < V; i++) {
          float value = (toFloat(packs[u].values[i]) - mean[i]) * factor[i] + offset[i];
          if (residual) value += toFloat(adds[u].values[i]);
          // Not fmaxf: a NaN must reach the loss.
          out[i] = relu && value < 0.f ? 0.f : value;
        }
        write<T, V>(y + place.at(a, r), out);
      }
    }
  }
}
)CUDA"
