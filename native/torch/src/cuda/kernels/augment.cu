R"CUDA(
/** Adds a pixel to the statistics that a step needs. Maxima and whole sums: the order of threads changes nothing. */
__device__ inline void note(int* statistics, const Pixel& p, int code) {
  if (code == kContrast) {
    atomicAdd(statistics, static_cast<int>(lumaOf(p)));
    return;
  }
  for (int c = 0; c < 3; c++) {
    const int level = static_cast<int>(p.v[c]);
    if (code == kEqualize) {
      atomicAdd(statistics + kCounts + 256 * c + level, 1);
    } else {
      atomicMax(statistics + 1 + c, level);
      atomicMax(statistics + 4 + c, 255 - level);
    }
  }
}

/**
 * One pass over pictures [N, H, W, 3], blockIdx.y the picture. A block takes a row of it; of a blur along columns, as many columns as its
 * shared memory holds. A picture's last pass writes it normalised, another one where the next pass reads it.
 */
template <typename T>
__global__ void augment(AugmentArgs a) {
  __shared__ float strip[2][kStripFloats];
  __shared__ int known[kStatistics];
  __shared__ int found[kStatistics];
  const int picture = blockIdx.y;
  const double* rows = a.table + static_cast<i64>(picture) * a.steps * kStepColumns;
  const int last = static_cast<int>(rows[(a.steps - 1) * kStepColumns + kPass]);
  if (a.pass > last) return;
  const double* row = rows;
  while (row[0] != kNoStep && row[kPass] < a.pass) row += kStepColumns;
  const double* end = row;
  while (end[0] != kNoStep && end[kPass] == a.pass) end += kStepColumns;
  const int code = row == end ? kNoStep : static_cast<int>(row[0]);
  const bool blurs = isBlur(code);
  const int following = a.pass < last ? static_cast<int>(end[0]) : kNoStep;
  const bool counts = needsStatistics(following);

  // Places along the strip, `stride` apart, with `lanes` values beside each other at each.
  const int rowSize = a.width * 3;
  const bool columns = code == kBlurColumns;
  const int most = columns ? kStripFloats / a.height / 3 * 3 : 3;
  const int begin = blockIdx.x * (columns ? most : rowSize);
  if (begin >= (columns ? rowSize : a.height * rowSize)) return;
  const int length = columns ? a.height : a.width;
  const int stride = columns ? rowSize : 3;
  const int lanes = columns ? min(most, rowSize - begin) : 3;

  const i64 size = static_cast<i64>(a.height) * rowSize;
  const float* from = a.from + picture * size;
  float* next = a.next + picture * size;
  T* out = static_cast<T*>(a.out) + picture * size;
  const int threads = blockDim.x;
  const int thread = threadIdx.x;

  const int* statistics = a.statistics + (static_cast<i64>(picture) * a.passes + a.pass) * kStatistics;
  for (int i = thread; i < kStatistics; i += threads) {
    if (counts) found[i] = 0;
    if (needsStatistics(code)) known[i] = statistics[i];
  }
  if (code == kEqualize) {
    __syncthreads();
    if (thread < 3) equalizeTable(known + kCounts + 256 * thread, a.height * a.width);
  }
  if (blurs) {
    const int values = length * lanes;
    for (int i = thread; i < values; i += threads) strip[0][i] = from[begin + i / lanes * stride + i % lanes];
    for (int turn = 0; turn < 3; turn++) {
      __syncthreads();
      for (int i = thread; i < values; i += threads) {
        strip[1 - turn % 2][i] = boxAt(strip[turn % 2] + i % lanes, i / lanes, length, lanes, static_cast<float>(row[1]));
      }
    }
  }
  // For the threads to see `found`, `known` and each other's values.
  __syncthreads();

  const double* step = row + (blurs || looksAround(code) ? kStepColumns : 0);
  const int across = lanes / 3;
  for (int i = thread; i < length * across; i += threads) {
    const int at = begin + i / across * stride + i % across * 3;
    Pixel p;
    if (looksAround(code)) {
      p = around(row, from, at / rowSize, at % rowSize / 3, a.height, a.width);
    } else {
      for (int c = 0; c < 3; c++) p.v[c] = blurs ? strip[1][i * 3 + c] : from[at + c];
      // Between its axes a blur is not rounded.
      if (columns) {
        for (int c = 0; c < 3; c++) p.v[c] = rintf(p.v[c]);
      }
    }
    for (const double* each = step; each < end; each += kStepColumns) p = stepOf(each, p, known, a.height * a.width);
    if (a.pass == last) {
      for (int c = 0; c < 3; c++) out[at + c] = fromFloat<T>(p.v[c] * a.factor[c] + a.shift[c]);
    } else {
      for (int c = 0; c < 3; c++) next[at + c] = p.v[c];
    }
    if (counts) note(found, p, following);
  }
  if (!counts) return;
  __syncthreads();
  int* whole = a.statistics + (static_cast<i64>(picture) * a.passes + a.pass + 1) * kStatistics;
  for (int i = thread; i < kStatistics; i += threads) {
    if (found[i] == 0) continue;
    if (i == 0 || i >= kCounts) atomicAdd(whole + i, found[i]);
    else atomicMax(whole + i, found[i]);
  }
}
)CUDA"
