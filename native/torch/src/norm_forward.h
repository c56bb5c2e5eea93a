// Train-mode batch norm, forward: statistics in one pass over x, the result in a second.
#pragma once

#include "lanes.h"
#include "norm_rows.h"

#include <cmath>
#include <vector>

namespace detco {

// Count, mean and sum of squared deviations of many channels. Chan, Golub and LeVeque (1979): pairwise merges lose
// nothing when the mean is large beside the deviation.
struct Moments {
  double count = 0;
  std::vector<double> mean;
  std::vector<double> squares;

  explicit Moments(int64_t channels)
      : mean(static_cast<size_t>(channels)), squares(static_cast<size_t>(channels)) {}
};

inline void mergeMoments(
    int64_t channels, double count, double* mean, double* squares, double otherCount, const double* otherMean,
    const double* otherSquares) {
  const double total = count + otherCount;
  const double share = otherCount / total;
  const double spread = count * share;
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
    const double delta = otherMean[c] - mean[c];
    mean[c] += delta * share;
    squares[c] += otherSquares[c] + delta * delta * spread;
  }
}

template <typename X>
void addLines(const X* __restrict x, int64_t lines, int64_t width, float* __restrict sum) {
  int64_t i = 0;
  for (; i + 4 <= lines; i += 4, x += 4 * width) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      sum[c] += (load(x + c) + load(x + width + c)) + (load(x + 2 * width + c) + load(x + 3 * width + c));
    }
  }
  for (; i < lines; ++i, x += width) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) sum[c] += load(x + c);
  }
}

// first += sum of (x - shift), second += sum of (x - shift)^2
template <typename X>
void addDeviations(
    const X* __restrict x, int64_t lines, int64_t width, const float* __restrict shift, float* __restrict first,
    float* __restrict second) {
  int64_t i = 0;
  for (; i + 4 <= lines; i += 4, x += 4 * width) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      const float a = load(x + c) - shift[c];
      const float b = load(x + width + c) - shift[c];
      const float d = load(x + 2 * width + c) - shift[c];
      const float e = load(x + 3 * width + c) - shift[c];
      first[c] += (a + b) + (d + e);
      second[c] += (a * a + b * b) + (d * d + e * e);
    }
  }
  for (; i < lines; ++i, x += width) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      const float a = load(x + c) - shift[c];
      first[c] += a;
      second[c] += a * a;
    }
  }
}

// Moments of each of `width` columns. Every block is read from memory once and twice more or less from the cache: its
// float32 mean first, deviations from that next, so that sums stay small; blocks are merged in float64.
template <typename X>
void momentsOfLines(const X* x, int64_t lines, const NormRows& shape, Moments& moments) {
  const int64_t width = shape.width;
  std::vector<float> scratch(static_cast<size_t>(3 * width));
  float* __restrict shift = scratch.data();
  float* __restrict first = shift + width;
  float* __restrict second = first + width;
  double* __restrict mean = moments.mean.data();
  double* __restrict squares = moments.squares.data();
  for (int64_t begin = 0; begin < lines; begin += shape.blockLines) {
    const int64_t block = std::min(shape.blockLines, lines - begin);
    const X* from = x + begin * width;
    std::fill(scratch.begin(), scratch.end(), 0.0f);
    addLines(from, block, width, shift);
    const float reciprocal = 1.0f / static_cast<float>(block);
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) shift[c] *= reciprocal;
    addDeviations(from, block, width, shift, first, second);
    const double inverse = 1.0 / static_cast<double>(block);
    const double total = moments.count + static_cast<double>(block);
    const double share = static_cast<double>(block) / total;
    const double spread = moments.count * share;
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      const double correction = first[c] * inverse;
      const double delta = shift[c] + correction - mean[c];
      mean[c] += delta * share;
      squares[c] += second[c] - first[c] * correction + delta * delta * spread;
    }
    moments.count = total;
  }
}

// Moments of one chunk's channels, the fold undone, the group's tail included in its last chunk.
template <typename X>
void momentsOfChunk(const X* x, const NormRows& shape, int64_t group, int64_t chunk, Moments& result) {
  const int64_t channels = shape.channels;
  const int64_t first = shape.firstLine(chunk);
  const int64_t lines = shape.endLine(chunk) - first;
  double* mean = result.mean.data();
  double* squares = result.squares.data();
  if (lines > 0) {
    const X* from = x + shape.groupStart(group) + first * shape.width;
    if (shape.fold == 1) {
      momentsOfLines(from, lines, shape, result);
    } else {
      Moments folded(shape.width);
      momentsOfLines(from, lines, shape, folded);
      for (int64_t i = 0; i < shape.fold; ++i) {
        mergeMoments(
            channels, result.count, mean, squares, folded.count, folded.mean.data() + i * channels,
            folded.squares.data() + i * channels);
        result.count += folded.count;
      }
    }
  }
  if (!shape.last(chunk)) return;
  const X* tail = x + shape.tailStart(group);
  for (int64_t row = 0; row < shape.tail; ++row, tail += channels) {
    const double total = result.count + 1;
    for (int64_t c = 0; c < channels; ++c) {
      const double delta = load(tail + c) - mean[c];
      mean[c] += delta / total;
      squares[c] += delta * delta * (result.count / total);
    }
    result.count = total;
  }
}

// y = (x - mean) * factor + offset (+ residual), then relu; the mean is taken off first, for it may be much larger than
// the deviation. The three vectors are `width` long.
template <bool kRelu, bool kResidual, typename X, typename R>
void normaliseLines(
    const X* __restrict x, const R* __restrict residual, int64_t lines, int64_t width, const float* __restrict mean,
    const float* __restrict factor, const float* __restrict offset, X* __restrict y) {
  for (int64_t i = 0; i < lines; ++i) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      float value = (load(x + c) - mean[c]) * factor[c] + offset[c];
      if (kResidual) value += load(residual + c);
      store(y + c, kRelu ? relu(value) : value);
    }
    x += width;
    y += width;
    if (kResidual) residual += width;
  }
}

struct NormForward {
  const void* x;
  const void* residual;  // or null
  const float* scale;
  const float* offset;
  void* y;
  float* groupMean;           // [groups, C]
  float* groupInverse;        // [groups, C]
  double* unbiasedVariance;   // [groups, C]
  double epsilon;
  bool relu;

  template <typename X, typename R>
  void run(const NormRows& shape) const {
    const int64_t channels = shape.channels;
    const int64_t width = shape.width;
    std::vector<Moments> partial(static_cast<size_t>(shape.groups * shape.chunks), Moments(0));
    // mean, factor and offset of each group, repeated `fold` times
    std::vector<float> folded(static_cast<size_t>(shape.groups * 3 * width));
    const X* from = static_cast<const X*>(x);
    shape.run(
        [&](int64_t group, int64_t chunk) {
          Moments moments(channels);
          momentsOfChunk(from, shape, group, chunk, moments);
          partial[static_cast<size_t>(group * shape.chunks + chunk)] = std::move(moments);
        },
        [&](int64_t group) {
          Moments& all = partial[static_cast<size_t>(group * shape.chunks)];
          for (int64_t chunk = 1; chunk < shape.chunks; ++chunk) {
            const Moments& part = partial[static_cast<size_t>(group * shape.chunks + chunk)];
            mergeMoments(
                channels, all.count, all.mean.data(), all.squares.data(), part.count, part.mean.data(),
                part.squares.data());
            all.count += part.count;
          }
          float* vectors = folded.data() + group * 3 * width;
          for (int64_t c = 0; c < channels; ++c) {
            const auto i = static_cast<size_t>(c);
            const double inverse = 1.0 / std::sqrt(all.squares[i] / all.count + epsilon);
            groupMean[group * channels + c] = static_cast<float>(all.mean[i]);
            groupInverse[group * channels + c] = static_cast<float>(inverse);
            unbiasedVariance[group * channels + c] = all.squares[i] / (all.count - 1);
            // What rounding the mean loses goes into the offset.
            const auto mean = static_cast<float>(all.mean[i]);
            const double factor = inverse * scale[c];
            const auto shift = static_cast<float>(offset[c] - (all.mean[i] - mean) * factor);
            for (int64_t at = c; at < width; at += channels) {
              vectors[at] = mean;
              vectors[width + at] = static_cast<float>(factor);
              vectors[2 * width + at] = shift;
            }
          }
        },
        [&](int64_t group, int64_t chunk) {
          const float* vectors = folded.data() + group * 3 * width;
          shape.forLines(group, chunk, shape.chunkLines, [&](int64_t start, int64_t lines, int64_t length) {
            normalise<X, R>(start, lines, length, width, vectors);
          });
        });
  }

  // `lines` lines of `length` elements from element `start` on.
  template <typename X, typename R>
  void normalise(int64_t start, int64_t lines, int64_t length, int64_t width, const float* vectors) const {
    const X* from = static_cast<const X*>(x) + start;
    X* to = static_cast<X*>(y) + start;
    const float* factor = vectors + width;
    const float* shift = factor + width;
    if (residual != nullptr) {
      const R* add = static_cast<const R*>(residual) + start;
      if (relu) {
        normaliseLines<true, true>(from, add, lines, length, vectors, factor, shift, to);
      } else {
        normaliseLines<false, true>(from, add, lines, length, vectors, factor, shift, to);
      }
    } else if (relu) {
      normaliseLines<true, false>(from, from, lines, length, vectors, factor, shift, to);
    } else {
      normaliseLines<false, false>(from, from, lines, length, vectors, factor, shift, to);
    }
  }
};

}  // namespace detco
