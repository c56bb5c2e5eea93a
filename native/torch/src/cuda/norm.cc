// Grouped batch norm: three launches forwards, three backwards, all groups in each. Memory bound: what counts is that
// every tensor is read and written once a pass, 16 bytes a load, with enough blocks to fill the device.
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "cuda/arguments.h"
#include "cuda/launch.h"
#include "cuda/operators.h"

namespace detco::cuda {

namespace {

constexpr int64_t kThreads = 256;  // as in kernels/norm.cu
constexpr int64_t kSide = 32;      // the same
// Blocks a multiprocessor: as many as it holds at once when summing; when applying, whole rounds of the 3 or 4 that it holds.
constexpr int64_t kBlocksToSum = 4;
constexpr int64_t kBlocksToApply = 12;
// Fewer rows a thread than this are not worth a block.
constexpr int64_t kLeastRows = 4;

bool isFloating(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
}

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/** How the rows of x [N, ..., C] are cut into blocks. */
struct Layout {
  int64_t groups;
  int64_t channels;
  int64_t rows;  // of a group
  int vector = 1;
  Grid block;
  int64_t tiles = 1;

  Layout(const char* name, const at::Tensor& x, int64_t count) : groups(count) {
    TORCH_CHECK(
        x.dim() >= 2 && isFloating(x), name, ": x of shape ", x.sizes(), " and type ", x.scalar_type(),
        ": expected float32 or bfloat16 [N, ..., C]");
    channels = x.size(-1);
    TORCH_CHECK(
        groups >= 1 && groups <= 65535 && x.size(0) % groups == 0, name, ": groups ", groups,
        ": expected a divisor of the batch size of x ", x.sizes());
    rows = channels == 0 ? 0 : x.numel() / channels / groups;
    TORCH_CHECK(
        rows >= 1 && rows < (int64_t{1} << 30) && channels < (int64_t{1} << 30), name, ": x of shape ", x.sizes(), " in ",
        groups, " groups: expected 1 to 2^30 rows a group");
  }

  /** Chooses the widest loads that all of these tensors allow. */
  void choose(std::initializer_list<at::Tensor> tensors) {
    bool half = false;
    for (const at::Tensor& tensor : tensors) half = half || (tensor.defined() && tensor.scalar_type() == at::kBFloat16);
    for (const int width : {half ? 8 : 4, 4}) {
      bool fits = channels % width == 0;
      for (const at::Tensor& tensor : tensors) {
        if (tensor.defined()) fits = fits && aligned(tensor, std::min<size_t>(16, width * tensor.element_size()));
      }
      if (fits) {
        vector = width;
        break;
      }
    }
    const int64_t vectors = channels / vector;
    while (block.x * 2 <= vectors && block.x < kSide) block.x *= 2;
    block.y = static_cast<unsigned>(kThreads / block.x);
    tiles = ceilDivide(vectors, block.x);
  }

  /** Cuts the rows of a group into chunks so that about `blocksEach` blocks fall to each multiprocessor. */
  Grid cut(NormArgs& a, int64_t blocksEach) const {
    const int64_t wanted = ceilDivide(multiprocessors() * blocksEach, tiles * groups);
    const int64_t most = ceilDivide(rows, block.y * kLeastRows);
    const int64_t chunks = std::max<int64_t>(1, std::min({wanted, most, int64_t{65535}}));
    const int64_t each = ceilDivide(ceilDivide(rows, chunks), block.y) * block.y;
    a.chunkRows = static_cast<int>(each);
    a.chunks = static_cast<int>(ceilDivide(rows, each));
    return {static_cast<unsigned>(tiles), static_cast<unsigned>(a.chunks), static_cast<unsigned>(groups)};
  }

  NormArgs arguments() const {
    NormArgs a{};
    a.groups = static_cast<int>(groups);
    a.rows = static_cast<int>(rows);
    a.channels = static_cast<int>(channels);
    // All of the 32 threads of a column for one group, or one each for 32 groups.
    a.lanes = kSide;
    while (a.lanes > 1 && a.lanes * groups > kSide) a.lanes /= 2;
    return a;
  }

  Grid finalising() const { return {static_cast<unsigned>(ceilDivide(channels, kSide))}; }
};

void checkVector(const char* name, const char* what, const at::Tensor& tensor, at::IntArrayRef sizes) {
  TORCH_CHECK(
      tensor.sizes() == sizes && tensor.scalar_type() == at::kFloat, name, ": ", what, " of shape ", tensor.sizes(),
      " and type ", tensor.scalar_type(), ": expected float32 ", sizes);
}

void checkLike(const char* name, const char* what, const at::Tensor& tensor, const at::Tensor& x) {
  TORCH_CHECK(
      tensor.sizes() == x.sizes() && isFloating(tensor), name, ": ", what, " of shape ", tensor.sizes(), " and type ",
      tensor.scalar_type(), ": expected float32 or bfloat16 of the shape of x, ", x.sizes());
}

void checkDevice(const char* name, const at::Tensor& x, std::initializer_list<at::Tensor> tensors) {
  for (const at::Tensor& tensor : tensors) {
    TORCH_CHECK(
        !tensor.defined() || tensor.device() == x.device(), name, ": a tensor of shape ", tensor.sizes(), " on ",
        tensor.device(), ": expected it on the device of x, ", x.device());
  }
}

at::Tensor given(const c10::optional<at::Tensor>& tensor) {
  return tensor.has_value() && tensor->defined() ? tensor->contiguous() : at::Tensor();
}

const void* pointerOf(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; }

std::string templated(const char* kernel, std::initializer_list<std::string> arguments) {
  std::string name = kernel;
  char separator = '<';
  for (const std::string& each : arguments) {
    name += separator + each;
    separator = ',';
  }
  return name + ">";
}

std::string text(bool value) { return value ? "true" : "false"; }

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> groupedBatchNorm(
    const at::Tensor& given_x, const at::Tensor& given_scale, const at::Tensor& given_offset,
    const c10::optional<at::Tensor>& given_residual, int64_t groups, double epsilon, bool relu) {
  const char* name = "grouped_batch_norm";
  const c10::DeviceGuard guard(given_x.device());
  Layout layout(name, given_x, groups);
  const at::Tensor x = given_x.contiguous();
  const at::Tensor scale = given_scale.contiguous();
  const at::Tensor offset = given_offset.contiguous();
  const at::Tensor residual = given(given_residual);
  checkVector(name, "scale", scale, {layout.channels});
  checkVector(name, "offset", offset, {layout.channels});
  if (residual.defined()) checkLike(name, "residual", residual, x);
  checkDevice(name, x, {scale, offset, residual});

  const at::Tensor y = at::empty(x.sizes(), x.options());
  const at::Tensor mean = at::empty({layout.channels}, scale.options());
  const at::Tensor variance = at::empty({layout.channels}, scale.options());
  const at::Tensor groupMean = at::empty({groups, layout.channels}, scale.options());
  const at::Tensor groupInverse = at::empty({groups, layout.channels}, scale.options());

  layout.choose({x, residual, y});
  NormArgs a = layout.arguments();
  a.x = x.data_ptr();
  a.residual = pointerOf(residual);
  a.out = y.data_ptr();
  a.scale = dataOf<float>(scale);
  a.offset = dataOf<float>(offset);
  a.groupMean = dataOf<float>(groupMean);
  a.groupInverse = dataOf<float>(groupInverse);
  a.first = dataOf<float>(mean);
  a.second = dataOf<float>(variance);
  a.epsilon = static_cast<float>(epsilon);

  const std::string width = std::to_string(layout.vector);
  const Grid summing = layout.cut(a, kBlocksToSum);
  const at::Tensor partial = at::empty({groups, a.chunks, 2, layout.channels}, scale.options());
  a.partial = dataOf<float>(partial);
  launch(templated("norm_partial", {typeName(x), width}), summing, layout.block, a);
  launch("norm_finalise<float>", layout.finalising(), {kSide, kSide}, a);
  const Grid applying = layout.cut(a, kBlocksToApply);
  launch(
      templated(
          "norm_apply",
          {typeName(x), typeName(residual.defined() ? residual : x), width, text(residual.defined()), text(relu)}),
      applying, layout.block, a);
  return {y, mean, variance, groupMean, groupInverse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> groupedBatchNormGrad(
    const at::Tensor& given_x, const c10::optional<at::Tensor>& given_y, const at::Tensor& given_dy,
    const at::Tensor& given_scale, const at::Tensor& given_mean, const at::Tensor& given_inverse, int64_t groups,
    bool wantsResidual) {
  const char* name = "grouped_batch_norm_grad";
  const c10::DeviceGuard guard(given_x.device());
  Layout layout(name, given_x, groups);
  const at::Tensor x = given_x.contiguous();
  const at::Tensor dy = given_dy.contiguous();
  at::Tensor y = given(given_y);
  if (y.defined()) {
    checkLike(name, "y", y, x);
    y = y.to(x.scalar_type());
  }
  const at::Tensor scale = given_scale.contiguous();
  const at::Tensor groupMean = given_mean.contiguous();
  const at::Tensor groupInverse = given_inverse.contiguous();
  checkLike(name, "dy", dy, x);
  checkVector(name, "scale", scale, {layout.channels});
  checkVector(name, "group_mean", groupMean, {groups, layout.channels});
  checkVector(name, "group_inverse", groupInverse, {groups, layout.channels});
  checkDevice(name, x, {y, dy, scale, groupMean, groupInverse});

  const at::Tensor dx = at::empty(x.sizes(), x.options());
  const at::Tensor dScale = at::empty({layout.channels}, scale.options());
  const at::Tensor dOffset = at::empty({layout.channels}, scale.options());
  const at::Tensor dResidual = wantsResidual ? at::empty(dy.sizes(), dy.options()) : at::Tensor();

  layout.choose({x, y, dy, dx, dResidual});
  NormArgs a = layout.arguments();
  a.x = x.data_ptr();
  a.y = pointerOf(y);
  a.dy = dy.data_ptr();
  a.scale = dataOf<float>(scale);
  a.groupMean = dataOf<float>(groupMean);
  a.groupInverse = dataOf<float>(groupInverse);
  a.first = dataOf<float>(dScale);
  a.second = dataOf<float>(dOffset);
  const at::Tensor sums = at::empty({groups, 2, layout.channels}, scale.options());
  a.sums = dataOf<float>(sums);

  const std::string width = std::to_string(layout.vector);
  const Grid summing = layout.cut(a, kBlocksToSum);
  const at::Tensor partial = at::empty({groups, a.chunks, 2, layout.channels}, scale.options());
  a.partial = dataOf<float>(partial);
  a.out = wantsResidual ? dResidual.data_ptr() : nullptr;
  launch(
      templated("norm_grad_partial", {typeName(x), typeName(dy), width, text(y.defined()), text(wantsResidual)}), summing,
      layout.block, a);
  launch("norm_grad_finalise<float>", layout.finalising(), {kSide, kSide}, a);
  const bool masked = y.defined() && !wantsResidual;
  if (wantsResidual) a.dy = dResidual.data_ptr();
  a.out = dx.data_ptr();
  const Grid applying = layout.cut(a, kBlocksToApply);
  launch(
      templated("norm_grad_apply", {typeName(x), typeName(dy), width, text(masked)}), applying, layout.block, a);
  return {dx, dScale, dOffset, dResidual};
}

}  // namespace detco::cuda
