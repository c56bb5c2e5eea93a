// A convolution as one matrix product, on the CPU in float32, where that is faster than oneDNN's.
//
// oneDNN is at a third of its speed (2.6 and 3.13, AVX-512) where an image is smaller than its filter: at res5 the patches of 64
// pixels are images of 2x2. There every output pixel sees every input pixel, so that an image is a row and the filter becomes a
// dense matrix [outputs * out, inputs * in]. A filter of one pixel is that matrix as it is, and every pixel that it sees a row.
#pragma once
#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <optional>

namespace detco {

class ConvProduct {
 public:
  // Images [N, H, W, in], filter [h, w, in, out]; padding {top, bottom, left, right}. Nothing where a convolution is the better way.
  static std::optional<ConvProduct> of(at::IntArrayRef images, at::IntArrayRef filter, at::IntArrayRef stride, at::IntArrayRef padding,
                                       at::IntArrayRef dilation);

  at::Tensor forward(const at::Tensor& x, const at::Tensor& filter) const;
  at::Tensor inputGrad(const at::Tensor& dy, const at::Tensor& filter) const;
  at::Tensor filterGrad(const at::Tensor& x, const at::Tensor& dy) const;

 private:
  ConvProduct() = default;
  template <typename F>
  void forEachTap(const F& f) const;
  at::Tensor matrix(const at::Tensor& filter) const;
  at::Tensor seen(const at::Tensor& x) const;
  at::Tensor inputRows(const at::Tensor& x) const;
  at::Tensor outputRows(const at::Tensor& dy) const;

  int64_t n_, height_, width_, in_;     // of the input
  int64_t outHeight_, outWidth_, out_;  // of the output
  int64_t filterHeight_, filterWidth_;
  int64_t strideY_, strideX_, top_, left_;
  int64_t rows_, inputs_, outputs_;  // of the product, and the pixels of a row
  bool skips_;                       // whether it is of one pixel, and its stride passes over others
};

}  // namespace detco
