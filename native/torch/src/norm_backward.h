// Train-mode batch norm, backward: one pass for the two sums over a channel, one for dx.
//
//   g  = dy, or dy where y > 0          S1 = sum of g          S2 = sum of g (x - mean) inverse
//   dx = scale inverse (g - S1 / n - (x - mean) inverse S2 / n)
#pragma once

#include "lanes.h"
#include "norm_rows.h"

#include <vector>

namespace detco {

// g of element i, written to `masked` too with kKeep.
template <bool kMask, bool kKeep, typename X, typename G>
inline float maskedGradient(const X* y, const G* dy, G* masked, int64_t i) {
  float g = load(dy + i);
  if (kMask) g = load(y + i) > 0.0f ? g : 0.0f;
  if (kKeep) store(masked + i, g);
  return g;
}

// first += sum of g, second += sum of g (x - mean), four lines at a time to keep the sums in registers for longer.
template <bool kMask, bool kKeep, typename X, typename G>
void sumLines(
    const X* __restrict x, const X* __restrict y, const G* __restrict dy, int64_t lines, int64_t width,
    const float* __restrict mean, float* __restrict first, float* __restrict second, G* __restrict masked) {
  int64_t i = 0;
  for (; i + 4 <= lines; i += 4) {
    const int64_t at = i * width;
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      const float m = mean[c];
      const float g0 = maskedGradient<kMask, kKeep>(y, dy, masked, at + c);
      const float g1 = maskedGradient<kMask, kKeep>(y, dy, masked, at + width + c);
      const float g2 = maskedGradient<kMask, kKeep>(y, dy, masked, at + 2 * width + c);
      const float g3 = maskedGradient<kMask, kKeep>(y, dy, masked, at + 3 * width + c);
      first[c] += (g0 + g1) + (g2 + g3);
      second[c] += (g0 * (load(x + at + c) - m) + g1 * (load(x + at + width + c) - m)) +
          (g2 * (load(x + at + 2 * width + c) - m) + g3 * (load(x + at + 3 * width + c) - m));
    }
  }
  for (; i < lines; ++i) {
    const int64_t at = i * width;
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      const float g = maskedGradient<kMask, kKeep>(y, dy, masked, at + c);
      first[c] += g;
      second[c] += g * (load(x + at + c) - mean[c]);
    }
  }
}

// dx = g a + (x - mean) b + d
template <bool kMask, typename X, typename G>
void differentiateLines(
    const X* __restrict x, const X* __restrict y, const G* __restrict dy, int64_t lines, int64_t width,
    const float* __restrict mean, const float* __restrict a, const float* __restrict b, const float* __restrict d,
    X* __restrict dx) {
  for (int64_t i = 0; i < lines; ++i) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) {
      float g = load(dy + c);
      if (kMask) g = load(y + c) > 0.0f ? g : 0.0f;
      store(dx + c, g * a[c] + ((load(x + c) - mean[c]) * b[c] + d[c]));
    }
    x += width;
    dy += width;
    dx += width;
    if (kMask) y += width;
  }
}

struct NormBackward {
  const void* x;
  const void* y;  // or null
  const void* dy;
  const float* scale;
  const float* groupMean;     // [groups, C]
  const float* groupInverse;  // [groups, C]
  void* dx;
  void* masked;     // or null: g, with dy's type
  double* sums;     // S1 and S2, [groups, 2, C]

  template <typename X, typename G>
  void run(const NormRows& shape) const {
    const int64_t channels = shape.channels;
    const int64_t width = shape.width;
    // sums of g and of g (x - mean) of each chunk, float64, by position in the line
    std::vector<double> partial(static_cast<size_t>(shape.groups * shape.chunks * 2 * width));
    // mean, a, b and d of each group, repeated `fold` times
    std::vector<float> folded(static_cast<size_t>(shape.groups * 4 * width));
    for (int64_t group = 0; group < shape.groups; ++group) {
      for (int64_t i = 0; i < width; ++i) {
        folded[static_cast<size_t>(group * 4 * width + i)] = groupMean[group * channels + i % channels];
      }
    }
    shape.run(
        [&](int64_t group, int64_t chunk) {
          const float* mean = folded.data() + group * 4 * width;
          double* into = partial.data() + (group * shape.chunks + chunk) * 2 * width;
          shape.forLines(group, chunk, shape.blockLines, [&](int64_t start, int64_t lines, int64_t length) {
            sum<X, G>(start, lines, length, width, mean, into);
          });
        },
        [&](int64_t group) {
          double* totals = sums + group * 2 * channels;
          for (int64_t chunk = 0; chunk < shape.chunks; ++chunk) {
            const double* from = partial.data() + (group * shape.chunks + chunk) * 2 * width;
            for (int64_t i = 0; i < width; i += channels) {
              for (int64_t c = 0; c < channels; ++c) totals[c] += from[i + c];
              for (int64_t c = 0; c < channels; ++c) totals[channels + c] += from[width + i + c];
            }
          }
          float* vectors = folded.data() + group * 4 * width;
          const auto count = static_cast<double>(shape.rows);
          for (int64_t c = 0; c < channels; ++c) {
            const double inverse = groupInverse[group * channels + c];
            const double a = scale[c] * inverse;
            totals[channels + c] *= inverse;
            for (int64_t at = c; at < width; at += channels) {
              vectors[width + at] = static_cast<float>(a);
              vectors[2 * width + at] = static_cast<float>(-a * inverse * totals[channels + c] / count);
              vectors[3 * width + at] = static_cast<float>(-a * totals[c] / count);
            }
          }
        },
        [&](int64_t group, int64_t chunk) {
          const float* vectors = folded.data() + group * 4 * width;
          shape.forLines(group, chunk, shape.chunkLines, [&](int64_t start, int64_t lines, int64_t length) {
            differentiate<X, G>(start, lines, length, width, vectors);
          });
        });
  }

  template <typename X, typename G>
  void sum(int64_t start, int64_t lines, int64_t length, int64_t width, const float* mean, double* into) const {
    std::vector<float> scratch(static_cast<size_t>(2 * length));
    float* first = scratch.data();
    float* second = first + length;
    const X* fromX = static_cast<const X*>(x) + start;
    const G* fromDy = static_cast<const G*>(dy) + start;
    if (y == nullptr) {
      sumLines<false, false>(fromX, fromX, fromDy, lines, length, mean, first, second, static_cast<G*>(nullptr));
    } else {
      const X* fromY = static_cast<const X*>(y) + start;
      if (masked == nullptr) {
        sumLines<true, false>(fromX, fromY, fromDy, lines, length, mean, first, second, static_cast<G*>(nullptr));
      } else {
        G* keep = static_cast<G*>(masked) + start;
        sumLines<true, true>(fromX, fromY, fromDy, lines, length, mean, first, second, keep);
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) into[i] += first[i];
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) into[width + i] += second[i];
  }

  template <typename X, typename G>
  void differentiate(int64_t start, int64_t lines, int64_t length, int64_t width, const float* mean) const {
    const float* a = mean + width;
    const float* b = a + width;
    const float* d = b + width;
    const X* fromX = static_cast<const X*>(x) + start;
    X* to = static_cast<X*>(dx) + start;
    if (masked != nullptr) {
      // Already masked: one tensor fewer to read.
      const G* g = static_cast<const G*>(masked) + start;
      differentiateLines<false>(fromX, fromX, g, lines, length, mean, a, b, d, to);
    } else if (y != nullptr) {
      const G* g = static_cast<const G*>(dy) + start;
      differentiateLines<true>(fromX, static_cast<const X*>(y) + start, g, lines, length, mean, a, b, d, to);
    } else {
      const G* g = static_cast<const G*>(dy) + start;
      differentiateLines<false>(fromX, fromX, g, lines, length, mean, a, b, d, to);
    }
  }
};

}  // namespace detco
