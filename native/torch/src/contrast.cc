// InfoNCE against a queue, CPU: loss and its gradient in one pass over the queue, softmax kept online (Milakov and
// Gimelshein 2018), so that N x K logits never exist and the queue is read from memory once.
#include "contrast_tile.h"
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

namespace detco {
namespace {

// Rows of the queue whose keys (128 KiB at D = 128) and logits stay in the L2 cache between the two products.
constexpr int64_t kBlockRows = 256;
// Parts of the queue with a softmax of their own, merged in order: more than threads, and independent of their number,
// so the result has the same bits however many run.
constexpr int64_t kParts = 32;

struct Part {
  std::vector<float> largest;   // [columns]
  std::vector<double> sum;      // [columns], of exp(logit - largest)
  std::vector<float> expected;  // [queries, features], of exp(logit - largest) x key
};

struct Contrast {
  int64_t queries;
  int64_t features;
  int64_t columns;     // queries rounded up to whole lanes
  const float* scaled; // [features, columns], queries / temperature, transposed, zero beyond `queries`

  Part over(const float* keys, int64_t rows) const {
    const auto width = static_cast<size_t>(columns);
    Part part{
        std::vector<float>(width, -std::numeric_limits<float>::infinity()), std::vector<double>(width, 0.0),
        std::vector<float>(static_cast<size_t>(queries * features), 0.0f)};
    std::vector<float> logits(static_cast<size_t>(std::min(rows, kBlockRows) * columns));
    std::vector<float> scratch(2 * width);
    for (int64_t begin = 0; begin < rows; begin += kBlockRows) {
      const int64_t block = std::min(kBlockRows, rows - begin);
      const float* from = keys + begin * features;
      logitsOf(from, block, features, scaled, columns, logits.data());
      exponentiate(logits.data(), block, part, scratch.data());
      addExpected(from, block, features, logits.data(), columns, queries, part.expected.data());
    }
    return part;
  }

  // logits <- exp(logits - largest), where largest is the part's running maximum; sums follow, and what was
  // accumulated under a smaller maximum is scaled to it.
  void exponentiate(float* __restrict logits, int64_t rows, Part& part, float* __restrict scratch) const {
    float* __restrict largest = scratch;
    float* __restrict sum = scratch + columns;
    std::copy(part.largest.begin(), part.largest.end(), largest);
    for (int64_t j = 0; j < rows; ++j) {
      const float* row = logits + j * columns;
#pragma omp simd
      for (int64_t n = 0; n < columns; ++n) largest[n] = row[n] > largest[n] ? row[n] : largest[n];
    }
    std::fill(sum, sum + columns, 0.0f);
    for (int64_t j = 0; j < rows; ++j) {
      float* row = logits + j * columns;
#pragma omp simd
      for (int64_t n = 0; n < columns; ++n) {
        const float e = expOfNonPositive(row[n] - largest[n]);
        row[n] = e;
        sum[n] += e;
      }
    }
    for (int64_t n = 0; n < columns; ++n) {
      const auto i = static_cast<size_t>(n);
      if (largest[n] > part.largest[i]) {
        const float scale = std::exp(part.largest[i] - largest[n]);
        part.largest[i] = largest[n];
        part.sum[i] *= scale;
        if (n < queries) {
          float* expected = part.expected.data() + n * features;
#pragma omp simd
          for (int64_t d = 0; d < features; ++d) expected[d] *= scale;
        }
      }
      part.sum[i] += sum[n];
    }
  }
};

void checkMatrix(const char* what, const at::Tensor& tensor) {
  TORCH_CHECK(
      tensor.dim() == 2 && tensor.scalar_type() == at::kFloat, "info_nce: ", what, " of shape ", tensor.sizes(),
      " and type ", tensor.scalar_type(), ": expected a float32 matrix");
}

std::tuple<at::Tensor, at::Tensor> infoNce(
    const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& queue, double temperature) {
  checkMatrix("queries", queries);
  checkMatrix("keys", keys);
  checkMatrix("queue", queue);
  TORCH_CHECK(
      keys.sizes() == queries.sizes() && queries.size(0) > 0, "info_nce: keys of shape ", keys.sizes(),
      ": expected the shape of the queries, ", queries.sizes(), ", with at least one row");
  TORCH_CHECK(
      queue.size(1) == queries.size(1), "info_nce: queue of shape ", queue.sizes(), ": expected [K, ", queries.size(1),
      "] for queries of shape ", queries.sizes());
  TORCH_CHECK(temperature > 0, "info_nce: temperature ", temperature, ": expected a positive number");
  const at::Tensor q = queries.contiguous();
  const at::Tensor k = keys.contiguous();
  const at::Tensor negatives = queue.contiguous();
  const int64_t n = q.size(0);
  const int64_t features = q.size(1);
  const int64_t rows = negatives.size(0);
  const int64_t columns = (n + kFewLanes - 1) / kFewLanes * kFewLanes;
  const float* query = dataOf<float>(q);
  const float* key = dataOf<float>(k);

  std::vector<float> scaled(static_cast<size_t>(features * columns), 0.0f);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t d = 0; d < features; ++d) {
      scaled[static_cast<size_t>(d * columns + i)] = static_cast<float>(query[i * features + d] / temperature);
    }
  }
  const Contrast contrast{n, features, columns, scaled.data()};
  const int64_t partRows = std::max(kBlockRows, (rows + kParts - 1) / kParts);
  const int64_t partCount = (rows + partRows - 1) / partRows;
  std::vector<Part> parts(static_cast<size_t>(partCount));
  at::parallel_for(0, partCount, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parts[static_cast<size_t>(i)] = contrast.over(
          dataOf<float>(negatives) + i * partRows * features, std::min(partRows, rows - i * partRows));
    }
  });

  at::Tensor loss = at::empty({}, q.options());
  at::Tensor gradient = at::empty(q.sizes(), q.options().memory_format(at::MemoryFormat::Contiguous));
  std::vector<double> expected(static_cast<size_t>(features));
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto column = static_cast<size_t>(i);
    const float* positiveKey = key + i * features;
    double positive = 0;
    for (int64_t d = 0; d < features; ++d) positive += static_cast<double>(query[i * features + d]) * positiveKey[d];
    positive /= temperature;
    double largest = positive;
    for (const Part& part : parts) largest = std::max(largest, static_cast<double>(part.largest[column]));
    const double positiveWeight = std::exp(positive - largest);
    double sum = positiveWeight;
    for (int64_t d = 0; d < features; ++d) expected[static_cast<size_t>(d)] = positiveWeight * positiveKey[d];
    for (const Part& part : parts) {
      // A part of logits that are all NaN has no largest; NaN then comes with its sum.
      const double weight = std::isinf(part.largest[column]) ? 1.0 : std::exp(part.largest[column] - largest);
      sum += part.sum[column] * weight;
      const float* from = part.expected.data() + i * features;
      for (int64_t d = 0; d < features; ++d) expected[static_cast<size_t>(d)] += weight * from[d];
    }
    total += std::log(sum) + largest - positive;
    for (int64_t d = 0; d < features; ++d) {
      dataOf<float>(gradient)[i * features + d] = static_cast<float>(
          (expected[static_cast<size_t>(d)] / sum - positiveKey[d]) / (static_cast<double>(n) * temperature));
    }
  }
  *dataOf<float>(loss) = static_cast<float>(total / static_cast<double>(n));
  return {loss, gradient};
}

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) { m.impl("info_nce", TORCH_FN(detco::infoNce)); }
