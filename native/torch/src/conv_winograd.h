// A convolution of 3x3 pixels with fewer multiplications, on the CPU in float32: F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks" (arXiv 1509.09308). A tile of 4x4 output pixels takes 36 multiplications for a pair of channels in place
// of 144. It rounds by .6e-6 to 3e-6 of the result (root mean square), and a NaN or an infinity can reach every pixel of the tiles that
// see it. cuDNN's WINOGRAD algorithms do the same.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace detco {

class WinogradConv {
 public:
  // Whether registers of the build's target are wide enough to gain by it; others were not measured.
#ifdef __AVX2__
  static constexpr bool kWorthwhile = true;
#else
  static constexpr bool kWorthwhile = false;
#endif

  // The tiles of `n` images' pixels.
  struct Tiling {
    Tiling(int64_t n, int64_t height, int64_t width);
    int64_t rows, columns;  // of an image
    int64_t count;          // of all
  };

  // Images [N, H, W, in], filter [h, w, in, out]; padding {top, bottom, left, right}. Nothing where another way is the better one.
  static std::optional<WinogradConv> of(at::IntArrayRef images, at::IntArrayRef filter, at::IntArrayRef stride, at::IntArrayRef padding,
                                        at::IntArrayRef dilation);

  at::Tensor forward(const at::Tensor& x, const at::Tensor& filter) const;
  at::Tensor inputGrad(const at::Tensor& dy, const at::Tensor& filter) const;
  at::Tensor filterGrad(const at::Tensor& x, const at::Tensor& dy) const;

 private:
  WinogradConv() = default;
  bool isFaster() const;
  at::Tensor gradientOf(const at::Tensor& dy) const;

  int64_t n_, height_, width_, in_;     // of the input
  int64_t outHeight_, outWidth_, out_;  // of the output
  int64_t top_, left_;                  // padding
};

}  // namespace detco
