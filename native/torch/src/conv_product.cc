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
// From so many images on the matrix, which repeats the filter, is worth making.
constexpr int64_t kLeastImages = 32;

// Whether every output pixel depends on every input pixel, along one axis.
bool sees(int64_t input, int64_t output, int64_t filter, int64_t stride, int64_t before) {
  // The first input pixel by the last output pixel, and the last by the first.
  return before >= (output - 1) * stride && input - 1 + before < filter;
}

}  // namespace

std::optional<ConvProduct> ConvProduct::of(const Tensor& like, IntArrayRef images, IntArrayRef filter, IntArrayRef stride,
                                           IntArrayRef padding, IntArrayRef dilation, bool depthwise) {
  if (!like.is_cpu() || like.scalar_type() != at::kFloat || !hasFastProducts()) return {};
  if (images.size() != 4 || filter.size() != 4 || images[3] != filter[2]) return {};
  if (depthwise || dilation[0] != 1 || dilation[1] != 1) return {};
  ConvProduct p;
  p.n_ = images[0], p.height_ = images[1], p.width_ = images[2], p.in_ = images[3];
  p.filterHeight_ = filter[0], p.filterWidth_ = filter[1], p.out_ = filter[3];
  p.strideY_ = stride[0], p.strideX_ = stride[1], p.top_ = padding[0], p.left_ = padding[2];
  const int64_t tall = p.height_ + padding[0] + padding[1] - filter[0];
  const int64_t wide = p.width_ + padding[2] + padding[3] - filter[1];
  if (tall < 0 || wide < 0) return {};
  p.outHeight_ = tall / stride[0] + 1, p.outWidth_ = wide / stride[1] + 1;
  const bool pointwise = filter[0] * filter[1] == 1 && stride[0] * stride[1] == 1;
  if (pointwise && p.outHeight_ == p.height_ && p.outWidth_ == p.width_ && p.in_ * p.out_ >= kLargePointwise) {
    p.inputs_ = p.outputs_ = 1;
    return p;
  }
  const bool dense = sees(p.height_, p.outHeight_, filter[0], stride[0], padding[0]) &&
                     sees(p.width_, p.outWidth_, filter[1], stride[1], padding[2]);
  if (!dense || p.n_ < kLeastImages) return {};
  p.inputs_ = p.height_ * p.width_, p.outputs_ = p.outHeight_ * p.outWidth_;
  return p;
}

int64_t ConvProduct::tap(int64_t input, int64_t output) const {
  const int64_t y = input / width_ - output / outWidth_ * strideY_ + top_;
  const int64_t x = input % width_ - output % outWidth_ * strideX_ + left_;
  return y * filterWidth_ + x;
}

Tensor ConvProduct::rows(const Tensor& images, int64_t columns) const { return images.contiguous().view({-1, columns}); }

// [outputs * out, inputs * in]
Tensor ConvProduct::matrix(const Tensor& filter) const {
  // [out, h, w, in], which filter_layout made of it already.
  const Tensor f = filter.permute({3, 0, 1, 2}).contiguous();
  const int64_t taps = filterHeight_ * filterWidth_;
  if (taps == 1) return f.view({out_, in_});
  Tensor m = at::empty({outputs_ * out_, inputs_ * in_}, f.options());
  const float* from = f.data_ptr<float>();
  float* to = m.data_ptr<float>();
  at::parallel_for(0, out_, std::max<int64_t>(1, 65536 / (inputs_ * outputs_ * in_)), [&](int64_t first, int64_t last) {
    for (int64_t o = 0; o < outputs_; ++o) {
      for (int64_t channel = first; channel < last; ++channel) {
        for (int64_t i = 0; i < inputs_; ++i) {
          std::memcpy(to + ((o * out_ + channel) * inputs_ + i) * in_, from + (channel * taps + tap(i, o)) * in_, in_ * sizeof(float));
        }
      }
    }
  });
  return m;
}

Tensor ConvProduct::forward(const Tensor& x, const Tensor& filter) const {
  return matrixProduct(rows(x, inputs_ * in_), matrix(filter).t()).view({n_, outHeight_, outWidth_, out_});
}

Tensor ConvProduct::inputGrad(const Tensor& dy, const Tensor& filter) const {
  return matrixProduct(rows(dy, outputs_ * out_), matrix(filter)).view({n_, height_, width_, in_});
}

Tensor ConvProduct::filterGrad(const Tensor& x, const Tensor& dy) const {
  const Tensor m = matrixProduct(rows(dy, outputs_ * out_).t(), rows(x, inputs_ * in_));
  const int64_t taps = filterHeight_ * filterWidth_;
  if (taps == 1) return m.view({out_, 1, 1, in_}).permute({1, 2, 3, 0});
  Tensor gradient = at::zeros({out_, filterHeight_, filterWidth_, in_}, m.options());
  const float* from = m.data_ptr<float>();
  float* to = gradient.data_ptr<float>();
  at::parallel_for(0, out_, std::max<int64_t>(1, 65536 / (inputs_ * outputs_ * in_)), [&](int64_t first, int64_t last) {
    for (int64_t o = 0; o < outputs_; ++o) {
      for (int64_t channel = first; channel < last; ++channel) {
        for (int64_t i = 0; i < inputs_; ++i) {
          const float* source = from + ((o * out_ + channel) * inputs_ + i) * in_;
          float* target = to + (channel * taps + tap(i, o)) * in_;
          for (int64_t k = 0; k < in_; ++k) target[k] += source[k];
        }
      }
    }
  });
  return gradient.permute({1, 2, 3, 0});
}

}  // namespace detco
