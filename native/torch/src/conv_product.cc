#include "conv_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "blas.h"

namespace detco {
namespace {

using at::IntArrayRef;
using at::Tensor;

// From so many elements on, a filter of one pixel is multiplied faster (512 x 2048; measured with OpenBLAS and MKL).
constexpr int64_t kLargePointwise = int64_t{1} << 20;
// Up to so many output pixels, a filter of one pixel with stride 2 takes .27 to .96 of a convolution's time forward, from 64 on .98 to 1.15,
// of products with 288 rows and more (one and two threads, OpenBLAS, oneDNN 2.6).
constexpr int64_t kMostStridedPixels = 49;
constexpr int64_t kLeastStridedRows = 256;
// From so many images on the matrix, which repeats the filter up to kMostRepeats times, is worth making: forward, 32 images of 2x2 take
// .55, .93 and .38 of a convolution's time with 64, 128 and 512 channels, their filter's gradient .62, .54 and .76 (OpenBLAS, oneDNN 2.6).
constexpr int64_t kLeastImages = 32;
constexpr int64_t kMostRepeats = 4;
// Elements of the matrix that are worth a thread more.
constexpr int64_t kGrain = 65536;

// Whether every output pixel depends on every input pixel, along one axis.
bool sees(int64_t input, int64_t output, int64_t filter, int64_t stride, int64_t before) {
  // The first input pixel by the last output pixel, and the last by the first.
  return before >= (output - 1) * stride && input - 1 + before < filter;
}

}  // namespace

std::optional<ConvProduct> ConvProduct::of(IntArrayRef images, IntArrayRef filter, IntArrayRef stride, IntArrayRef padding,
                                           IntArrayRef dilation) {
  if (images.size() != 4 || filter.size() != 4 || images[3] != filter[2]) return {};
  const auto positive = [](IntArrayRef sizes) { return std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size > 0; }); };
  if (!positive(images) || !positive(filter) || !positive(stride) || dilation[0] != 1 || dilation[1] != 1) return {};
  ConvProduct p;
  p.n_ = images[0], p.height_ = images[1], p.width_ = images[2], p.in_ = images[3];
  p.filterHeight_ = filter[0], p.filterWidth_ = filter[1], p.out_ = filter[3];
  p.strideY_ = stride[0], p.strideX_ = stride[1], p.top_ = padding[0], p.left_ = padding[2];
  const int64_t tall = p.height_ + padding[0] + padding[1] - filter[0];
  const int64_t wide = p.width_ + padding[2] + padding[3] - filter[1];
  if (tall < 0 || wide < 0) return {};
  p.outHeight_ = tall / stride[0] + 1, p.outWidth_ = wide / stride[1] + 1;
  const bool padded = std::any_of(padding.begin(), padding.end(), [](int64_t size) { return size != 0; });
  const bool pointwise = filter[0] * filter[1] == 1 && !padded;
  p.skips_ = pointwise && p.outHeight_ * p.outWidth_ < p.height_ * p.width_;
  const int64_t pixels = p.outHeight_ * p.outWidth_;
  const bool strided = p.skips_ && pixels <= kMostStridedPixels && p.n_ * pixels >= kLeastStridedRows;
  if (pointwise && (strided || (!p.skips_ && p.in_ * p.out_ >= kLargePointwise))) {
    p.inputs_ = p.outputs_ = 1;
    p.rows_ = p.n_ * pixels;
    return p;
  }
  p.inputs_ = p.height_ * p.width_, p.outputs_ = p.outHeight_ * p.outWidth_;
  p.rows_ = p.n_;
  const bool dense = sees(p.height_, p.outHeight_, filter[0], stride[0], padding[0]) &&
                     sees(p.width_, p.outWidth_, filter[1], stride[1], padding[2]);
  const bool worth = p.n_ >= kLeastImages && p.inputs_ * p.outputs_ <= kMostRepeats * filter[0] * filter[1];
  if (!dense || !worth) return {};
  return p;
}

// Calls f(row of `in` elements in the matrix, row of them in a filter [out, h, w, in]) for all that belong together; rows of the filter that
// two calls share are the same thread's.
template <typename F>
void ConvProduct::forEachTap(const F& f) const {
  const int64_t taps = filterHeight_ * filterWidth_;
  at::parallel_for(0, out_, std::max<int64_t>(1, kGrain / (inputs_ * outputs_ * in_)), [&](int64_t first, int64_t last) {
    for (int64_t o = 0; o < outputs_; ++o) {
      for (int64_t channel = first; channel < last; ++channel) {
        for (int64_t i = 0; i < inputs_; ++i) {
          const int64_t y = i / width_ - o / outWidth_ * strideY_ + top_;
          const int64_t x = i % width_ - o % outWidth_ * strideX_ + left_;
          f((o * out_ + channel) * inputs_ + i, channel * taps + y * filterWidth_ + x);
        }
      }
    }
  });
}

// [outputs * out, inputs * in]
Tensor ConvProduct::matrix(const Tensor& filter) const {
  // [out, h, w, in], which filter_layout made of it already.
  const Tensor f = filter.permute({3, 0, 1, 2}).contiguous();
  if (filterHeight_ * filterWidth_ == 1) return f.view({out_, in_});
  Tensor m = at::empty({outputs_ * out_, inputs_ * in_}, f.options());
  const float* from = f.data_ptr<float>();
  float* to = m.data_ptr<float>();
  forEachTap([&](int64_t row, int64_t tap) { std::memcpy(to + row * in_, from + tap * in_, in_ * sizeof(float)); });
  return m;
}

// The pixels that a filter of one pixel sees, whose stride skips others.
Tensor ConvProduct::seen(const Tensor& x) const { return x.slice(1, 0, c10::nullopt, strideY_).slice(2, 0, c10::nullopt, strideX_); }

Tensor ConvProduct::inputRows(const Tensor& x) const {
  return (skips_ ? seen(x) : x).contiguous().view({rows_, inputs_ * in_});
}

Tensor ConvProduct::outputRows(const Tensor& dy) const {
  const std::array<int64_t, 4> expected = {n_, outHeight_, outWidth_, out_};
  TORCH_CHECK(dy.sizes() == IntArrayRef(expected), "dy of shape ", dy.sizes(), ": expected ", IntArrayRef(expected));
  return dy.contiguous().view({rows_, outputs_ * out_});
}

Tensor ConvProduct::forward(const Tensor& x, const Tensor& filter) const {
  return matrixProduct(inputRows(x), matrix(filter).t()).view({n_, outHeight_, outWidth_, out_});
}

Tensor ConvProduct::inputGrad(const Tensor& dy, const Tensor& filter) const {
  const Tensor product = matrixProduct(outputRows(dy), matrix(filter));
  if (!skips_) return product.view({n_, height_, width_, in_});
  Tensor gradient = at::zeros({n_, height_, width_, in_}, dy.options());
  seen(gradient).copy_(product.view({n_, outHeight_, outWidth_, in_}));
  return gradient;
}

Tensor ConvProduct::filterGrad(const Tensor& x, const Tensor& dy) const {
  const Tensor m = matrixProduct(outputRows(dy).t(), inputRows(x));
  if (filterHeight_ * filterWidth_ == 1) return m.view({out_, 1, 1, in_}).permute({1, 2, 3, 0});
  Tensor gradient = at::zeros({out_, filterHeight_, filterWidth_, in_}, m.options());
  const float* from = m.data_ptr<float>();
  float* to = gradient.data_ptr<float>();
  forEachTap([&](int64_t row, int64_t tap) {
    for (int64_t k = 0; k < in_; ++k) to[tap * in_ + k] += from[row * in_ + k];
  });
  return gradient.permute({1, 2, 3, 0});
}

}  // namespace detco
