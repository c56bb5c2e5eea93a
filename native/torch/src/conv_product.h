// A convolution as one matrix product, on the CPU, where that is faster than oneDNN's.
//
// oneDNN is at a third of its speed where an image is smaller than its filter: at res5 the patches of 64 pixels are images of
// 2x2. There every output pixel sees every input pixel, so that an image is a row and the filter becomes a dense matrix
// [outputs * out, inputs * in]. A filter of one pixel is that matrix as it is, and every pixel a row.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace detco {

class ConvProduct {
 public:
  // Images [N, H, W, in], filters [h, w, in, out]; padding {top, bottom, left, right}. Nothing where a convolution is the better way.
  static std::optional<ConvProduct> of(const at::Tensor& like, at::IntArrayRef images, at::IntArrayRef filter, at::IntArrayRef stride,
                                       at::IntArrayRef padding, at::IntArrayRef dilation, bool depthwise);

  at::Tensor forward(const at::Tensor& x, const at::Tensor& filter) const;
  at::Tensor inputGrad(const at::Tensor& dy, const at::Tensor& filter) const;
  at::Tensor filterGrad(const at::Tensor& x, const at::Tensor& dy) const;

 private:
  ConvProduct() = default;
  at::Tensor matrix(const at::Tensor& filter) const;
  at::Tensor rows(const at::Tensor& images, int64_t columns) const;
  // The pixel of the filter between an input and an output pixel.
  int64_t tap(int64_t input, int64_t output) const;

  int64_t n_, height_, width_, in_;     // of the input
  int64_t outHeight_, outWidth_, out_;  // of the output
  int64_t filterHeight_, filterWidth_;
  int64_t strideY_, strideX_, top_, left_;
  // Pixels of a row.
  int64_t inputs_, outputs_;
};

}  // namespace detco
