// Convolution, pooling and matrix product in TensorFlow.js's layouts: images [N, H, W, C], filters [h, w, in, out]. To LibTorch a
// permuted view of either is a channels_last tensor, so nothing is copied.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>

#include "blas.h"
#include "conv_product.h"
#include "conv_winograd.h"

namespace detco {
namespace {

using at::IntArrayRef;
using at::Tensor;

Tensor channelsFirst(const Tensor& images) {
  TORCH_CHECK(images.dim() == 4, "images of shape ", images.sizes(), ": expected [N, H, W, C]");
  return images.permute({0, 3, 1, 2});
}

Tensor channelsLast(const Tensor& images) { return images.permute({0, 2, 3, 1}); }

// [h, w, in, out] -> [out, in, h, w]; with groups (depthwise) [h, w, in, m] -> [in * m, 1, h, w].
Tensor filterFirst(const Tensor& filter, bool depthwise) {
  TORCH_CHECK(filter.dim() == 4, "filter of shape ", filter.sizes(), ": expected [h, w, in, out]");
  if (!depthwise) return filter.permute({3, 2, 0, 1});
  const auto s = filter.sizes();
  return filter.permute({2, 3, 0, 1}).reshape({s[2] * s[3], 1, s[0], s[1]});
}

Tensor filterLast(const Tensor& filter, IntArrayRef shape, bool depthwise) {
  if (!depthwise) return filter.permute({2, 3, 1, 0});
  return filter.reshape({shape[2], shape[3], shape[0], shape[1]}).permute({2, 3, 0, 1});
}

// Padding {top, bottom, left, right}. LibTorch pads both sides alike, and by no more than `most`; the rest is padded here.
struct Padding {
  explicit Padding(IntArrayRef p, std::array<int64_t, 2> most = {INT64_MAX, INT64_MAX})
      : symmetric{std::min({p[0], p[1], most[0]}), std::min({p[2], p[3], most[1]})},
        extra{p[2] - symmetric[1], p[3] - symmetric[1], p[0] - symmetric[0], p[1] - symmetric[0]} {}
  bool uneven() const { return extra[0] || extra[1] || extra[2] || extra[3]; }
  Tensor apply(const Tensor& x, double value) const { return uneven() ? at::constant_pad_nd(x, extra, value) : x; }
  // The part of a gradient that belongs to the tensor before `apply`.
  Tensor crop(const Tensor& x, IntArrayRef height_width) const {
    return uneven() ? x.slice(2, extra[2], extra[2] + height_width[0]).slice(3, extra[0], extra[0] + height_width[1]) : x;
  }
  std::array<int64_t, 2> symmetric;
  std::array<int64_t, 4> extra;  // left, right, top, bottom, as constant_pad_nd takes them
};

std::array<bool, 3> want(bool input, bool filter) { return {input, filter, false}; }

// f of a faster way than LibTorch's to compute a convolution of these operands, where there is one.
template <typename F>
std::optional<Tensor> faster(const Tensor& a, const Tensor& b, IntArrayRef images, IntArrayRef filter, IntArrayRef stride,
                             IntArrayRef padding, IntArrayRef dilation, bool depthwise, const F& f) {
  const auto fits = [](const Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == at::kFloat; };
  if (!fits(a) || !fits(b) || depthwise) return {};
  if (const auto product = ConvProduct::of(images, filter, stride, padding, dilation); product && hasFastProducts()) return f(*product);
  if (const auto winograd = WinogradConv::of(images, filter, stride, padding, dilation)) return f(*winograd);
  return {};
}

// Whether a CPU multiplies bfloat16 no faster than float32: without AMX oneDNN 2.6 takes 1.5 to 1.7 times as long.
bool slowBfloat16() {
#if defined(__x86_64__)
  static const bool slow = [] {
    unsigned int a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned int kAmxBf16 = 1u << 22;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAmxBf16) == 0;
  }();
  return slow;
#else
  return false;
#endif
}

// What is to be computed in float32 and rounded: the operands are bfloat16 still, and sums are float32 either way.
bool widens(const Tensor& a, const Tensor& b) {
  return a.is_cpu() && a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 && slowBfloat16();
}

// LibTorch 1.13 converts one element at a time.
Tensor wide(const Tensor& tensor) {
  if (!tensor.is_non_overlapping_and_dense()) return tensor.to(at::kFloat);
  Tensor result = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().dtype(at::kFloat));
  const auto* from = static_cast<const uint16_t*>(tensor.data_ptr());
  auto* to = static_cast<uint32_t*>(result.data_ptr());
  at::parallel_for(0, tensor.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = static_cast<uint32_t>(from[i]) << 16;
  });
  return result;
}

Tensor rounded(const Tensor& tensor) { return tensor.to(at::kBFloat16); }

Tensor conv2d(const Tensor& x, const Tensor& filter, IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool depthwise) {
  if (widens(x, filter)) return rounded(conv2d(wide(x), wide(filter), stride, padding, dilation, depthwise));
  const auto forward = [&](const auto& way) { return way.forward(x, filter); };
  if (const auto y = faster(x, filter, x.sizes(), filter.sizes(), stride, padding, dilation, depthwise, forward)) return *y;
  const Padding pad(padding);
  const int64_t groups = depthwise ? x.size(3) : 1;
  const Tensor input = pad.apply(channelsFirst(x), 0);
  return channelsLast(
      at::convolution(input, filterFirst(filter, depthwise), {}, stride, pad.symmetric, dilation, false, {0, 0}, groups));
}

Tensor conv2dInputGrad(const Tensor& dy, const Tensor& filter, IntArrayRef shape, IntArrayRef stride, IntArrayRef padding,
                       IntArrayRef dilation, bool depthwise) {
  if (widens(dy, filter)) return rounded(conv2dInputGrad(wide(dy), wide(filter), shape, stride, padding, dilation, depthwise));
  const auto inputGrad = [&](const auto& way) { return way.inputGrad(dy, filter); };
  if (const auto dx = faster(dy, filter, shape, filter.sizes(), stride, padding, dilation, depthwise, inputGrad)) return *dx;
  const Padding pad(padding);
  const int64_t groups = depthwise ? shape[3] : 1;
  // Only the shape, type and strides of the input matter.
  const Tensor like = pad.apply(channelsFirst(at::empty({1}, dy.options()).expand(shape)), 0);
  const Tensor input = pad.uneven() ? like : at::empty_strided({shape[0], shape[3], shape[1], shape[2]},
      {shape[1] * shape[2] * shape[3], 1, shape[2] * shape[3], shape[3]}, dy.options());
  const auto gradients = at::convolution_backward(channelsFirst(dy), input, filterFirst(filter, depthwise), c10::nullopt, stride,
                                                  pad.symmetric, dilation, false, {0, 0}, groups, want(true, false));
  return channelsLast(pad.crop(std::get<0>(gradients), shape.slice(1, 2)));
}

Tensor conv2dFilterGrad(const Tensor& x, const Tensor& dy, IntArrayRef shape, IntArrayRef stride, IntArrayRef padding,
                        IntArrayRef dilation, bool depthwise) {
  if (widens(x, dy)) return rounded(conv2dFilterGrad(wide(x), wide(dy), shape, stride, padding, dilation, depthwise));
  const auto filterGrad = [&](const auto& way) { return way.filterGrad(x, dy); };
  if (const auto gradient = faster(x, dy, x.sizes(), shape, stride, padding, dilation, depthwise, filterGrad)) return *gradient;
  const Padding pad(padding);
  const int64_t groups = depthwise ? x.size(3) : 1;
  const Tensor input = pad.apply(channelsFirst(x), 0);
  // Laid out as a filter of channels_last convolutions, which is how the gradient then comes.
  const Tensor like = depthwise ? at::empty({shape[2] * shape[3], 1, shape[0], shape[1]}, x.options())
                                : at::empty({shape[3], shape[2], shape[0], shape[1]}, x.options(), at::MemoryFormat::ChannelsLast);
  const auto gradients = at::convolution_backward(channelsFirst(dy), input, like, c10::nullopt, stride, pad.symmetric, dilation,
                                                  false, {0, 0}, groups, want(false, true));
  return filterLast(std::get<1>(gradients), shape, depthwise);
}

// The same filter, its memory ordered [out, h, w, in] as channels_last convolutions want it: without this every call would reorder.
Tensor filterLayout(const Tensor& filter) {
  return filter.permute({3, 2, 0, 1}).contiguous(at::MemoryFormat::ChannelsLast).permute({2, 3, 1, 0});
}

// LibTorch pads a pooling window by half of it at most.
Padding poolPadding(IntArrayRef padding, IntArrayRef window) { return Padding(padding, {window[0] / 2, window[1] / 2}); }

std::tuple<Tensor, Tensor> maxPool(const Tensor& x, IntArrayRef window, IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation) {
  const Padding pad = poolPadding(padding, window);
  const Tensor input = pad.apply(channelsFirst(x), -std::numeric_limits<double>::infinity());
  const auto result = at::max_pool2d_with_indices(input, window, stride, pad.symmetric, dilation, false);
  return {channelsLast(std::get<0>(result)), std::get<1>(result)};
}

Tensor maxPoolGrad(const Tensor& dy, const Tensor& x, const Tensor& indices, IntArrayRef window, IntArrayRef stride,
                   IntArrayRef padding, IntArrayRef dilation) {
  const Padding pad = poolPadding(padding, window);
  const Tensor input = pad.apply(channelsFirst(x), 0);
  const Tensor gradient = at::max_pool2d_with_indices_backward(channelsFirst(dy.contiguous()), input, window, stride, pad.symmetric,
                                                               dilation, false, indices);
  return channelsLast(pad.crop(gradient, x.sizes().slice(1, 2)));
}

Tensor matmul(const Tensor& a, const Tensor& b, bool transposeA, bool transposeB) {
  if (widens(a, b)) return rounded(matmul(wide(a), wide(b), transposeA, transposeB));
  const Tensor left = transposeA ? a.transpose(-2, -1) : a;
  const Tensor right = transposeB ? b.transpose(-2, -1) : b;
  const bool matrices = left.dim() == 2 && right.dim() == 2;
  return matrices && left.is_cpu() ? matrixProduct(left, right) : at::matmul(left, right);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(detco, m) {
  m.def("conv2d(Tensor x, Tensor filter, int[] stride, int[] padding, int[] dilation, bool depthwise) -> Tensor", conv2d);
  m.def(
      "conv2d_input_grad(Tensor dy, Tensor filter, int[] shape, int[] stride, int[] padding, int[] dilation, bool depthwise) -> Tensor",
      conv2dInputGrad);
  m.def("conv2d_filter_grad(Tensor x, Tensor dy, int[] shape, int[] stride, int[] padding, int[] dilation, bool depthwise) -> Tensor",
        conv2dFilterGrad);
  m.def("filter_layout(Tensor filter) -> Tensor", filterLayout);
  m.def("max_pool(Tensor x, int[] window, int[] stride, int[] padding, int[] dilation) -> (Tensor, Tensor)", maxPool);
  m.def("max_pool_grad(Tensor dy, Tensor x, Tensor indices, int[] window, int[] stride, int[] padding, int[] dilation) -> Tensor",
        maxPoolGrad);
  m.def("matmul(Tensor a, Tensor b, bool transpose_a, bool transpose_b) -> Tensor", matmul);
}

}  // namespace detco
