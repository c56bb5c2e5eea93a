// Small matrix products of which both operands lie in the cache, for convolutions: without the copies that a BLAS makes first.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace detco {

// Rows that are multiplied at a time: with two columns of registers 24 sums of AVX-512's 32 registers, or 12 of 16.
constexpr int64_t kProductRows = kLanes == 16 ? 12 : 6;

// sums[r][v] (+)= sum over d of a[r * aRow + d * aDepth] b[d * bDepth + v], kRows rows of kVectors x kLanes columns.
template <int kRows, int kVectors>
inline void productTile(const float* a, int64_t aRow, int64_t aDepth, const float* b, int64_t bDepth, int64_t depth, float* sums,
                        int64_t row, bool add) {
  using V = Vector<kLanes>;
  V sum[kRows][kVectors] = {};
  for (int64_t d = 0; d < depth; ++d) {
    V right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = loadLanes(b + d * bDepth + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const float left = a[r * aRow + d * aDepth];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += right[v] * left;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = sums + r * row + v * kLanes;
      storeLanes(to, add ? loadLanes(to) + sum[r][v] : sum[r][v]);
    }
  }
}

template <int kVectors>
void multiplyRowsBy(const float* a, int64_t depth, int64_t rows, const float* b, float* products, int64_t row) {
  const auto multiply = [&](auto tile, int64_t r) {
    tile(a + r * depth, depth, 1, b, kVectors * kLanes, depth, products + r * row, row, false);
  };
  if (rows < kProductRows) {
    // The bits of a row that is multiplied among others: fused multiplications and additions in the same order.
    for (int64_t r = 0; r < rows; ++r) multiply(productTile<1, kVectors>, r);
    return;
  }
  for (int64_t r = 0; r + kProductRows <= rows; r += kProductRows) multiply(productTile<kProductRows, kVectors>, r);
  // Those that are left, and some once more.
  if (rows % kProductRows != 0) multiply(productTile<kProductRows, kVectors>, rows - kProductRows);
}

// products [rows, width], `row` from row to row, = a [rows, depth] x b [depth, width]; width is kLanes or 2 x kLanes.
inline void multiplyRows(const float* a, int64_t depth, int64_t rows, const float* b, int64_t width, float* products, int64_t row) {
  if (width == kLanes) multiplyRowsBy<1>(a, depth, rows, b, products, row);
  else multiplyRowsBy<2>(a, depth, rows, b, products, row);
}

// sums [rows, columns] (+)= transposed a [depth, rows], `aDepth` from row to row, x b [depth, columns]; rows and columns are multiples of
// kLanes.
inline void multiplyColumns(const float* a, int64_t aDepth, int64_t rows, const float* b, int64_t columns, int64_t depth, float* sums,
                            bool add) {
  constexpr int kRows = kLanes == 16 ? 8 : 4;  // divides kLanes
  for (int64_t c = 0; c < columns; c += 2 * kLanes) {
    for (int64_t r = 0; r < rows; r += kRows) {
      float* to = sums + r * columns + c;
      if (columns - c == kLanes) productTile<kRows, 1>(a + r, 1, aDepth, b + c, columns, depth, to, columns, add);
      else productTile<kRows, 2>(a + r, 1, aDepth, b + c, columns, depth, to, columns, add);
    }
  }
}

}  // namespace detco
