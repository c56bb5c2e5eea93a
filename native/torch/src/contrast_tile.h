// Small matrix products of InfoNCE, written for queries that are few (N up to some hundreds) and a queue that is long:
// lanes run over queries for logits and over features for the expected key, so that the queue's rows are read as they
// lie, without a transposed copy. (A BLAS would start its own threads below ours, and packs the queue first.)
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.h"

namespace detco {

// Half of a register, where few queries leave the other half idle.
constexpr int64_t kFewLanes = 8;

// logits[j, n] = sum over d of keys[j, d] queries[d, n] for kRows rows j and kVectors x kWidth queries n.
template <int64_t kWidth, int kRows, int kVectors>
inline void logitTile(
    const float* keys, int64_t features, const float* queries, int64_t columns, float* logits) {
  using V = Vector<kWidth>;
  V sum[kRows][kVectors] = {};
  for (int64_t d = 0; d < features; ++d) {
    V query[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) query[v] = *reinterpret_cast<const V*>(queries + d * columns + v * kWidth);
#pragma GCC unroll 16
    for (int j = 0; j < kRows; ++j) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[j][v] += query[v] * keys[j * features + d];
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < kRows; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(logits + j * columns + v * kWidth) = sum[j][v];
  }
}

// Asks for the rows of the next tile: a tile walks down many rows at once, a pattern that the processor's own
// prefetching follows badly (from memory, half as fast again with it). Addresses past the end do no harm.
inline void prefetchRows(const float* keys, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(keys + i);
}

template <int64_t kWidth, int kRows, int kVectors>
void logitColumns(
    const float* keys, int64_t rows, int64_t features, const float* queries, int64_t columns, float* logits) {
  int64_t j = 0;
  for (; j + kRows <= rows; j += kRows) {
    prefetchRows(keys + (j + kRows) * features, kRows * features);
    logitTile<kWidth, kRows, kVectors>(keys + j * features, features, queries, columns, logits + j * columns);
  }
  for (; j < rows; ++j) {
    logitTile<kWidth, 1, kVectors>(keys + j * features, features, queries, columns, logits + j * columns);
  }
}

// logits [rows, columns] = keys [rows, features] x queries [features, columns]; columns is a multiple of kFewLanes.
inline void logitsOf(
    const float* keys, int64_t rows, int64_t features, const float* queries, int64_t columns, float* logits) {
  int64_t n = 0;
  for (; n + 2 * kLanes <= columns; n += 2 * kLanes) {
    logitColumns<kLanes, kLanes == 16 ? 12 : 6, 2>(keys, rows, features, queries + n, columns, logits + n);
  }
  for (; n + kLanes <= columns; n += kLanes) {
    logitColumns<kLanes, 12, 1>(keys, rows, features, queries + n, columns, logits + n);
  }
  for (; n < columns; n += kFewLanes) {
    logitColumns<kFewLanes, 12, 1>(keys, rows, features, queries + n, columns, logits + n);
  }
}

// expected[n, d] += sum over j of weights[j, n] keys[j, d] for kQueries queries, kVectors x kLanes features.
template <int kQueries, int kVectors>
inline void expectedTile(
    const float* keys, int64_t rows, int64_t features, const float* weights, int64_t columns, float* expected) {
  using V = Vector<kLanes>;
  V sum[kQueries][kVectors];
#pragma GCC unroll 8
  for (int n = 0; n < kQueries; ++n) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[n][v] = *reinterpret_cast<const V*>(expected + n * features + v * kLanes);
  }
  for (int64_t j = 0; j < rows; ++j) {
    V key[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) key[v] = *reinterpret_cast<const V*>(keys + j * features + v * kLanes);
#pragma GCC unroll 8
    for (int n = 0; n < kQueries; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[n][v] += key[v] * weights[j * columns + n];
    }
  }
#pragma GCC unroll 8
  for (int n = 0; n < kQueries; ++n) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(expected + n * features + v * kLanes) = sum[n][v];
  }
}

template <int kQueries>
void expectedOfQueries(
    const float* keys, int64_t rows, int64_t features, const float* weights, int64_t columns, float* expected) {
  constexpr int kVectors = 2;
  int64_t d = 0;
  for (; d + kVectors * kLanes <= features; d += kVectors * kLanes) {
    expectedTile<kQueries, kVectors>(keys + d, rows, features, weights, columns, expected + d);
  }
  for (; d + kLanes <= features; d += kLanes) {
    expectedTile<kQueries, 1>(keys + d, rows, features, weights, columns, expected + d);
  }
  for (; d < features; ++d) {
    for (int n = 0; n < kQueries; ++n) {
      float sum = expected[n * features + d];
      for (int64_t j = 0; j < rows; ++j) sum += keys[j * features + d] * weights[j * columns + n];
      expected[n * features + d] = sum;
    }
  }
}

// expected [queries, features] += transposed weights [rows, columns] x keys [rows, features]
inline void addExpected(
    const float* keys, int64_t rows, int64_t features, const float* weights, int64_t columns, int64_t queries,
    float* expected) {
  // As many sums as there are registers for: 32 with AVX-512, else 16.
  constexpr int kQueries = kLanes == 16 ? 8 : 4;
  int64_t n = 0;
  for (; n + kQueries <= queries; n += kQueries) {
    expectedOfQueries<kQueries>(keys, rows, features, weights + n, columns, expected + n * features);
  }
  for (; n + 2 <= queries; n += 2) {
    expectedOfQueries<2>(keys, rows, features, weights + n, columns, expected + n * features);
  }
  if (n < queries) expectedOfQueries<1>(keys, rows, features, weights + n, columns, expected + n * features);
}

// exp(x) for x <= 0 to about 1 ulp; below -87 zero; NaN stays. Cephes' expf: 2^k exp(r), |r| <= ln 2 / 2.
inline float expOfNonPositive(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 x 2^23: adding it leaves the nearest integer in the low bits
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * 1.44269504088896341f + kRound;
  const float k = shifted - kRound;
  const float r = (clamped - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127u) << 23;  // kRound's own bits leave with the shift
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.0f ? 0.0f : p * power;
}

}  // namespace detco
