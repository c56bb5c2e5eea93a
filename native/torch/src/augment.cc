// The steps of augmentation that need a pixel, its neighbours or a sum over the picture, and normalisation after them, CPU.
#include "augment_point.h"
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace detco {
namespace {

using Statistics = std::array<int, kStatistics>;

// Adds a pixel to the statistics that a step needs.
void note(int* statistics, const Pixel& pixel, int code) {
  if (code == kContrast) statistics[0] += static_cast<int>(lumaOf(pixel));
  for (size_t c = 0; code != kContrast && c < 3; ++c) {
    const int level = static_cast<int>(pixel.v[c]);
    if (code == kEqualize) {
      ++statistics[kCounts + 256 * c + static_cast<size_t>(level)];
    } else {
      statistics[1 + c] = std::max(statistics[1 + c], level);
      statistics[4 + c] = std::max(statistics[4 + c], 255 - level);
    }
  }
}

struct Picture {
  std::vector<float> levels;
  std::vector<float> other;
  int height;
  int width;

  int pixels() const { return height * width; }
  Pixel pixel(int i) const {
    const float* at = levels.data() + i * 3;
    return {{at[0], at[1], at[2]}};
  }
  void set(std::vector<float>& to, int i, const Pixel& pixel) { std::copy(pixel.v, pixel.v + 3, to.data() + i * 3); }
};

Statistics statisticsOf(const Picture& picture, int code) {
  Statistics statistics{};
  for (int i = 0; i < picture.pixels(); ++i) note(statistics.data(), picture.pixel(i), code);
  for (size_t c = 0; code == kEqualize && c < 3; ++c) equalizeTable(statistics.data() + kCounts + 256 * c, picture.pixels());
  return statistics;
}

void lookAround(Picture& picture, const double* row) {
  for (int i = 0; i < picture.pixels(); ++i) {
    const int y = i / picture.width;
    const int x = i % picture.width;
    picture.set(picture.other, i, around(row, picture.levels.data(), y, x, picture.height, picture.width));
  }
  std::swap(picture.levels, picture.other);
}

// Three boxes along rows or columns.
void blurAll(Picture& picture, float radius, bool columns) {
  const int length = columns ? picture.height : picture.width;
  const int stride = columns ? picture.width * 3 : 3;
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < picture.pixels() * 3; ++i) {
      const int place = columns ? i / stride : i % (picture.width * 3) / 3;
      picture.other[static_cast<size_t>(i)] = boxAt(picture.levels.data() + (i - place * stride), place, length, stride, radius);
    }
    std::swap(picture.levels, picture.other);
  }
  // Between its axes a blur is not rounded.
  if (columns) std::transform(picture.levels.begin(), picture.levels.end(), picture.levels.begin(), rintf);
}

void apply(Picture& picture, const double* rows, int64_t count) {
  for (const double *row = rows, *end = rows + count * kStepColumns; row < end;) {
    const int code = static_cast<int>(row[0]);
    if (code == kNoStep) return;
    if (looksAround(code) || isBlur(code)) {
      if (looksAround(code)) lookAround(picture, row);
      else blurAll(picture, static_cast<float>(row[1]), code == kBlurColumns);
      row += kStepColumns;
      continue;
    }
    const Statistics statistics = needsStatistics(code) ? statisticsOf(picture, code) : Statistics{};
    // What follows in the same pass needs no more than the pixel.
    const double* next = row + kStepColumns;
    while (next < end && next[0] != kNoStep && next[kPass] == row[kPass]) next += kStepColumns;
    for (int i = 0; i < picture.pixels(); ++i) {
      Pixel pixel = picture.pixel(i);
      for (const double* step = row; step < next; step += kStepColumns) {
        pixel = stepOf(step, pixel, statistics.data(), picture.pixels());
      }
      picture.set(picture.levels, i, pixel);
    }
    row = next;
  }
}

at::Tensor augment(
    const at::Tensor& levels, const at::Tensor& table, const at::Tensor& factor, const at::Tensor& shift, int64_t passes,
    at::ScalarType dtype) {
  TORCH_CHECK(
      levels.scalar_type() == at::kFloat && levels.dim() == 4 && levels.size(3) == 3 && levels.size(1) <= kLongestSide &&
          levels.size(2) <= kLongestSide,
      "augment: levels of shape ", levels.sizes(), " and type ", levels.scalar_type(), ": expected float32 [N, H, W, 3], sides of at most ",
      static_cast<int>(kLongestSide));
  TORCH_CHECK(
      table.scalar_type() == at::kDouble && table.dim() == 3 && table.size(0) == levels.size(0) && table.size(1) >= 1 &&
          table.size(2) == kStepColumns,
      "augment: table of shape ", table.sizes(), " and type ", table.scalar_type(), ": expected float64 [", levels.size(0),
      ", steps, ", static_cast<int>(kStepColumns), "]");
  for (const at::Tensor* vector : {&factor, &shift}) {
    TORCH_CHECK(
        vector->scalar_type() == at::kFloat && vector->numel() == 3, "augment: factor or shift of shape ", vector->sizes(),
        " and type ", vector->scalar_type(), ": expected float32 [3]");
  }
  TORCH_CHECK(passes >= 1, "augment: ", passes, " passes: expected 1 or more");
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, "augment: type ", dtype, ": expected float32 or bfloat16");
  const at::Tensor from = levels.contiguous();
  const at::Tensor rows = table.contiguous();
  const at::Tensor factors = factor.contiguous();
  const at::Tensor shifts = shift.contiguous();
  at::Tensor out = at::empty(levels.sizes(), levels.options().dtype(dtype).memory_format(at::MemoryFormat::Contiguous));
  const int64_t size = levels.size(1) * levels.size(2) * 3;
  withElement(out, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    at::parallel_for(0, levels.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const float* first = dataOf<float>(from) + n * size;
        Picture picture{
            {first, first + size}, std::vector<float>(static_cast<size_t>(size)), static_cast<int>(levels.size(1)),
            static_cast<int>(levels.size(2))};
        apply(picture, dataOf<double>(rows) + n * rows.size(1) * kStepColumns, rows.size(1));
        T* to = dataOf<T>(out) + n * size;
        for (int64_t i = 0; i < size; ++i) {
          store(to + i, picture.levels[static_cast<size_t>(i)] * dataOf<float>(factors)[i % 3] + dataOf<float>(shifts)[i % 3]);
        }
      }
    });
  });
  return out;
}

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) { m.impl("augment", TORCH_FN(detco::augment)); }
