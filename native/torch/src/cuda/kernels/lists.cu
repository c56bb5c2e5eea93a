R"CUDA(
// Many tensors at once: each block takes 4096 neighbouring values of one of them.
constexpr int kListThreads = 256;
constexpr int kListValues = 4096;

/** The last entry that starts at or before this block. */
__device__ inline int entryOf(const ListArgs& a, int block) {
  int low = 0, high = a.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (a.entries[middle].firstBlock <= block) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Four values of the source from i on, of which the tensor has `left`. */
__device__ inline void source4(float (&out)[4], const void* source, bool half, i64 i, bool vector, int left) {
  if (vector && half) {
    const Pack<bf16, 4> pack = read<4>(static_cast<const bf16*>(source) + i);
    for (int j = 0; j < 4; j++) out[j] = toFloat(pack.values[j]);
  } else if (vector) {
    const Pack<float, 4> pack = read<4>(static_cast<const float*>(source) + i);
    for (int j = 0; j < 4; j++) out[j] = pack.values[j];
  } else {
    for (int j = 0; j < 4; j++) {
      out[j] = j >= left ? 0.f : half ? toFloat(static_cast<const bf16*>(source)[i + j]) : static_cast<const float*>(source)[i + j];
    }
  }
}

__device__ inline void store4(float* to, const float (&values)[4], i64 i, bool vector, int left) {
  if (vector) {
    write<float, 4>(to + i, values);
  } else {
    for (int j = 0; j < 4 && j < left; j++) to[i + j] = values[j];
  }
}

/**
 * Calls update(entry, i, vector, left) for every four values of this block that fall to this thread: from value i of the
 * entry's tensor on, of which it has `left`, to be loaded together where `vector`.
 */
template <typename Update>
__device__ inline void eachFour(const ListArgs& a, Update update) {
  const ListEntry entry = a.entries[entryOf(a, blockIdx.x)];
  const i64 begin = static_cast<i64>(blockIdx.x - entry.firstBlock) * kListValues;
  for (int k = 0; k < kListValues; k += kListThreads * 4) {
    const i64 i = begin + k + threadIdx.x * 4;
    if (i >= entry.size) return;
    const int left = entry.size - i < 4 ? static_cast<int>(entry.size - i) : 4;
    update(entry, i, (entry.flags & 2) && left == 4, left);
  }
}

/** v <- momentum v + (g + decay p); p <- p - rate v. */
template <typename = float>
__global__ void __launch_bounds__(kListThreads) sgd(ListArgs a) {
  const float rate = *a.rate;
  eachFour(a, [&](const ListEntry& entry, i64 i, bool vector, int left) {
    float ps[4], gs[4], vs[4];
    source4(ps, entry.target, false, i, vector, left);
    source4(gs, entry.source, entry.flags & 1, i, vector, left);
    source4(vs, entry.velocity, false, i, vector, left);
    for (int j = 0; j < 4; j++) {
      vs[j] = a.momentum * vs[j] + (gs[j] + a.decay * ps[j]);
      ps[j] -= rate * vs[j];
    }
    store4(entry.velocity, vs, i, vector, left);
    store4(entry.target, ps, i, vector, left);
  });
}

/** target + weight (source - target), from the nearer end as torch.lerp: exact at 0 and 1. */
template <typename = float>
__global__ void __launch_bounds__(kListThreads) lerp(ListArgs a) {
  eachFour(a, [&](const ListEntry& entry, i64 i, bool vector, int left) {
    float ts[4], ss[4];
    source4(ts, entry.target, false, i, vector, left);
    source4(ss, entry.source, entry.flags & 1, i, vector, left);
    for (int j = 0; j < 4; j++) {
      const float difference = ss[j] - ts[j];
      ts[j] = a.weight < 0.5f ? ts[j] + a.weight * difference : ss[j] - (1.f - a.weight) * difference;
    }
    store4(entry.target, ts, i, vector, left);
  });
}
)CUDA"
