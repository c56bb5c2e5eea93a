R"CUDA(
// Sums over rows of dy and dy * (x - mean), dy masked by y > 0 where relu was fused. With `residual` the masked dy is
// written too, and read instead of (y, dy) by norm_grad_apply: one tensor less to read.
template <typename T, typename D, int V, bool masked, bool residual>
__global__ void __launch_bounds__(kThreads, kResident) norm_grad_partial(NormArgs a) {
  __shared__ float firsts[kThreads * V];
  __shared__ float seconds[kThreads * V];
  const int thread = threadIdx.y * blockDim.x + threadIdx.x;
  const Place<V> place(a);
  const T* __restrict__ x = static_cast<const T*>(a.x);
  const T* __restrict__ y = static_cast<const T*>(a.y);
  const D* __restrict__ dy = static_cast<const D*>(a.dy);
  D* __restrict__ masks = static_cast<D*>(a.out);
  float mean[V], first[V] = {}, second[V] = {};
#pragma unroll
  for (int i = 0; i < V; i++) {
    mean[i] = place.inside ? a.groupMean[static_cast<i64>(blockIdx.z) * a.channels + place.channel + i] : 0.f;
  }
  for (int row = place.row; row < place.end; row += kAhead * place.stride) {
    Pack<T, V> xs[kAhead], ys[kAhead];
    Pack<D, V> dys[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        xs[u] = read<V>(x + place.at(a, r));
        if (masked) ys[u] = read<V>(y + place.at(a, r));
        dys[u] = read<V>(dy + place.at(a, r));
      }
    }
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        float d[V];
#pragma unroll
        for (int i = 0; i < V; i++) {
          d[i] = masked && !(toFloat(ys[u].values[i]) > 0.f) ? 0.f : toFloat(dys[u].values[i]);
          first[i] += d[i];
          second[i] += d[i] * (toFloat(xs[u].values[i]) - mean[i]);
        }
        if (residual) write<D, V>(masks + place.at(a, r), d);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < V; i++) {
    firsts[i * kThreads + thread] = first[i];
    seconds[i * kThreads + thread] = second[i];
  }
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half) {
      const int other = thread + half * blockDim.x;
#pragma unroll
      for (int i = 0; i < V; i++) {
        firsts[i * kThreads + thread] += firsts[i * kThreads + other];
        seconds[i * kThreads + thread] += seconds[i * kThreads + other];
      }
    }
  }
  if (threadIdx.y == 0 && place.inside) {
    float* out = a.partial + (static_cast<i64>(blockIdx.z) * a.chunks + blockIdx.y) * 2 * a.channels + place.channel;
#pragma unroll
    for (int i = 0; i < V; i++) {
      out[i] = firsts[i * kThreads + thread];
      out[a.channels + i] = seconds[i * kThreads + thread];
    }
  }
}

/** sums [groups, 2, channels]: of dy, and of dy times the normalised x; d_offset and d_scale are their sums over groups. */
template <typename = float>
__global__ void __launch_bounds__(kSide * kSide) norm_grad_finalise(NormArgs a) {
  __shared__ float firsts[kSide][kSide];
  __shared__ float seconds[kSide][kSide];
  const int x = threadIdx.x, y = threadIdx.y;
  const int channel = blockIdx.x * kSide + x;
  const int lane = y % a.lanes, slot = y / a.lanes, slots = kSide / a.lanes;
  float offsetSum = 0.f, scaleSum = 0.f;
  for (int start = 0; start < a.groups; start += slots) {
    const int group = start + slot;
    const bool inside = group < a.groups && channel < a.channels;
    float first = 0.f, second = 0.f;
    if (inside) {
      for (int chunk = lane; chunk < a.chunks; chunk += a.lanes) {
        const float* in = a.partial + (static_cast<i64>(group) * a.chunks + chunk) * 2 * a.channels + channel;
        first += in[0];
        second += in[a.channels];
      }
    }
    firsts[y][x] = first;
    seconds[y][x] = second;
    for (int half = a.lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) {
        firsts[y][x] += firsts[y + half][x];
        seconds[y][x] += seconds[y + half][x];
      }
    }
    __syncthreads();
    if (inside && lane == 0) {
      first = firsts[y][x];
      second = seconds[y][x] * a.groupInverse[static_cast<i64>(group) * a.channels + channel];
      float* out = a.sums + static_cast<i64>(group) * 2 * a.channels + channel;
      out[0] = first;
      out[a.channels] = second;
      offsetSum += first;
      scaleSum += second;
    }
    __syncthreads();
  }
  firsts[y][x] = offsetSum;
  seconds[y][x] = scaleSum;
  __syncthreads();
  if (y == 0 && channel < a.channels) {
    for (int s = 1; s < slots; s++) {
      offsetSum += firsts[s * a.lanes][x];
      scaleSum += seconds[s * a.lanes][x];
    }
    a.first[channel] = scaleSum;
    a.second[channel] = offsetSum;
  }
}

/**
 * dx = scale / deviation * (dy - mean(dy) - xhat * mean(dy * xhat)), written as dy * factor - (x - mean) * slope - level.
 * One block less at once than the others: its registers would not fit.
 */
template <typename T, typename D, int V, bool masked>
__global__ void __launch_bounds__(kThreads, kResident - 1) norm_grad_apply(NormArgs a) {
  const Place<V> place(a);
  if (!place.inside) return;
  const T* __restrict__ x = static_cast<const T*>(a.x);
  const T* __restrict__ y = static_cast<const T*>(a.y);
  const D* __restrict__ dy = static_cast<const D*>(a.dy);
  T* __restrict__ dx = static_cast<T*>(a.out);
  float mean[V], factor[V], slope[V], level[V];
#pragma unroll
  for (int i = 0; i < V; i++) {
    const i64 at = static_cast<i64>(blockIdx.z) * a.channels + place.channel + i;
    const float* sums = a.sums + static_cast<i64>(blockIdx.z) * 2 * a.channels + place.channel + i;
    const float inverse = a.groupInverse[at];
    mean[i] = a.groupMean[at];
    factor[i] = inverse * a.scale[place.channel + i];
    level[i] = sums[0] / a.rows * factor[i];
    slope[i] = sums[a.channels] / a.rows * factor[i] * inverse;
  }
  for (int row = place.row; row < place.end; row += kAhead * place.stride) {
    Pack<T, V> xs[kAhead], ys[kAhead];
    Pack<D, V> dys[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        xs[u] = read<V>(x + place.at(a, r));
        if (masked) ys[u] = read<V>(y + place.at(a, r));
        dys[u] = read<V>(dy + place.at(a, r));
      }
    }
#pragma unroll
    for (int u = 0; u < kAhead; u++) {
      const int r = row + u * place.stride;
      if (r < place.end) {
        float out[V];
#pragma unroll
        for (int i = 0; i < V; i++) {
          const float d = masked && !(toFloat(ys[u].values[i]) > 0.f) ? 0.f : toFloat(dys[u].values[i]);
          out[i] = d * factor[i] - (toFloat(xs[u].values[i]) - mean[i]) * slope[i] - level[i];
        }
        write<T, V>(dx + place.at(a, r), out);
      }
    }
  }
}
)CUDA"
