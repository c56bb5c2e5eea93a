// InfoNCE over the queue a block of keys at a time, and writing keys into the queue.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace detco::cuda {

namespace {

constexpr int kRowThreads = 512;  // as in kernels/contrast.cu
// Logits at once: 64 MiB, which is all of a batch of 256 against 65536 keys.
constexpr int64_t kMostLogits = int64_t{1} << 24;

void checkMatrix(const char* name, const char* what, const at::Tensor& tensor, const at::Tensor& like) {
  TORCH_CHECK(
      tensor.dim() == 2 && at::isFloatingType(tensor.scalar_type()) && tensor.size(1) == like.size(-1) &&
          tensor.device() == like.device(),
      name, ": ", what, " of shape ", tensor.sizes(), " and type ", tensor.scalar_type(), " on ", tensor.device(),
      ": expected floating-point rows of ", like.size(-1), " on ", like.device());
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> infoNce(
    const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& queue, double temperature) {
  const char* name = "info_nce";
  TORCH_CHECK(queries.dim() == 2 && queries.size(0) > 0, name, ": queries of shape ", queries.sizes(), ": expected [N, D]");
  checkMatrix(name, "queries", queries, queries);
  checkMatrix(name, "keys", keys, queries);
  checkMatrix(name, "queue", queue, queries);
  TORCH_CHECK(
      keys.size(0) == queries.size(0), name, ": keys of shape ", keys.sizes(), ": expected the shape of queries, ",
      queries.sizes());
  TORCH_CHECK(temperature > 0, name, ": temperature ", temperature, ": expected a positive number");
  const c10::DeviceGuard guard(queries.device());
  const at::Tensor q = queries.to(at::kFloat).contiguous();
  const at::Tensor k = keys.to(at::kFloat).contiguous();
  const int64_t n = q.size(0);

  const at::Tensor expected = at::empty_like(k);
  const at::Tensor rows = at::empty({4, n}, q.options());  // positive, largest, sum, losses
  const at::Tensor gradient = at::empty_like(q);
  NceArgs a{};
  a.queries = dataOf<float>(q);
  a.keys = dataOf<float>(k);
  a.expected = dataOf<float>(expected);
  a.positive = dataOf<float>(rows);
  a.largest = a.positive + n;
  a.sum = a.positive + 2 * n;
  a.losses = a.positive + 3 * n;
  a.gradient = dataOf<float>(gradient);
  a.dimensions = static_cast<int>(q.size(1));
  a.reciprocal = static_cast<float>(1.0 / temperature);

  const Grid grid{static_cast<unsigned>(n)};
  const Grid block{kRowThreads};
  launch("nce_begin<float>", grid, block, a);
  const int64_t step = std::max<int64_t>(256, kMostLogits / n / 256 * 256);
  for (int64_t first = 0; first < queue.size(0); first += step) {
    const at::Tensor negatives = queue.narrow(0, first, std::min(step, queue.size(0) - first)).to(at::kFloat);
    const at::Tensor logits = at::mm(q, negatives.t()).contiguous();
    a.logits = dataOf<float>(logits);
    a.block = static_cast<int>(negatives.size(0));
    launch("nce_block<float>", grid, block, a);
    expected.addmm_(logits, negatives);
  }
  launch("nce_end<float>", grid, block, a);
  return {rows.select(0, 3).mean(), gradient};
}

void enqueue(const at::Tensor& queue, const at::Tensor& keys, const at::Tensor& pointer) {
  const char* name = "enqueue_";
  TORCH_CHECK(
      queue.dim() == 2 && queue.scalar_type() == at::kFloat && queue.is_contiguous(), name, ": queue of shape ",
      queue.sizes(), " and type ", queue.scalar_type(), ": expected contiguous float32 [K, D]");
  checkMatrix(name, "keys", keys, queue);
  TORCH_CHECK(
      keys.size(0) <= queue.size(0), name, ": keys of shape ", keys.sizes(), ": expected at most ", queue.size(0),
      " of them for a queue of shape ", queue.sizes());
  TORCH_CHECK(
      pointer.numel() == 1 && (pointer.scalar_type() == at::kInt || pointer.scalar_type() == at::kLong) &&
          pointer.device() == queue.device(),
      name, ": pointer of shape ", pointer.sizes(), " and type ", pointer.scalar_type(), " on ", pointer.device(),
      ": expected an int32 or int64 scalar on ", queue.device());
  const c10::DeviceGuard guard(queue.device());
  const bool half = keys.scalar_type() == at::kBFloat16;
  const at::Tensor from = (half ? keys : keys.to(at::kFloat)).contiguous();
  EnqueueArgs a{};
  a.queue = dataOf<float>(queue);
  a.keys = from.data_ptr();
  a.pointer = pointer.data_ptr();
  a.rows = from.size(0);
  a.capacity = queue.size(0);
  a.dimensions = queue.size(1);
  const int64_t blocks = std::min<int64_t>((from.numel() + 255) / 256, 1024);
  const std::string kernel =
      std::string("enqueue<") + typeName(from) + (pointer.scalar_type() == at::kInt ? ",int>" : ",long long>");
  launch(kernel, {static_cast<unsigned>(blocks)}, {256}, a);
}

}  // namespace detco::cuda
