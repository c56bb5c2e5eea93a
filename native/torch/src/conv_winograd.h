// A convolution of 3x3 pixels with fewer multiplications, on the CPU in float32: F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks" (arXiv 1509.09308). An output of 4x4 pixels takes 36 products a pair of channels in place of 144.
// Errors are some 1e-6 of the result; cuDNN computes float32 convolutions so as well.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace detco {

class WinogradConv {
 public:
  // Whether this CPU's registers are wide enough to gain by it.
  static bool isWorthwhile();

  // Images [N, H, W, in], filter [h, w, in, out]; padding {top, bottom, left, right}. Nothing where another way is the better one.
  static std::optional<WinogradConv> of(at::IntArrayRef images, at::IntArrayRef filter, at::IntArrayRef stride, at::IntArrayRef padding,
                                        at::IntArrayRef dilation);

  at::Tensor forward(const at::Tensor& x, const at::Tensor& filter) const;
  at::Tensor inputGrad(const at::Tensor& dy, const at::Tensor& filter) const;
  at::Tensor filterGrad(const at::Tensor& x, const at::Tensor& dy) const;

 private:
  WinogradConv() = default;
  at::Tensor gradientOf(const at::Tensor& dy) const;

  int64_t n_, height_, width_, in_;     // of the input
  int64_t outHeight_, outWidth_, out_;  // of the output
  int64_t top_, left_;                  // padding
};

}  // namespace detco
