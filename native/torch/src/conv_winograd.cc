#include "conv_winograd.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "product_tile.h"

namespace detco {
namespace {

using at::IntArrayRef;
using at::Tensor;
using V = Vector<kLanes>;

constexpr int64_t kOut = 4;    // pixels of an output tile, along one axis
constexpr int64_t kTile = 6;   // of an input tile
constexpr int64_t kPositions = kTile * kTile;
constexpr int64_t kTaps = 9;

// Output channels that are multiplied before their transform: their products stay in the cache.
constexpr int64_t kColumns = 64;
// Tiles that are transformed before they are multiplied: few, so that their transform stays in the cache, and enough of them that the filters are not
// read too often.
constexpr int64_t kBlockFloats = int64_t{1} << 16;
constexpr int64_t kLeastTiles = 48;

inline const V& read(const float* p) { return *reinterpret_cast<const V*>(p); }
inline void write(float* p, const V& v) { *reinterpret_cast<V*>(p) = v; }

// The transforms along one axis, of values that lie `step` apart, with the points 0, 1, -1, 1/2, -2 and infinity: they round less than 2 in
// the place of 1/2 does (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution", arXiv 1803.10986).
inline void inputAxis(const V* d, int64_t step, V* t, int64_t to) {
  const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const V even = d4 - d2, odd = d3 - d1;
  t[0] = d0 - d2 + even + 1.5f * odd;
  t[to] = even + odd + 1.5f * (d3 + d2);
  t[2 * to] = even - odd + 1.5f * (d3 - d2);
  t[3 * to] = even + 2.0f * odd;
  t[4 * to] = even - 0.5f * odd;
  t[5 * to] = d5 - d3 - odd + 1.5f * even;
}

inline void outputAxis(const V* m, int64_t step, V* y, int64_t to) {
  const V a = m[step] + m[2 * step], b = m[step] - m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
  y[0] = m[0] + a + m3 + m4;
  y[to] = b + 0.5f * m3 - 2.0f * m4;
  y[2 * to] = a + 0.25f * m3 + 4.0f * m4;
  y[3 * to] = b + 0.125f * m3 - 8.0f * m4 + m[5 * step];
}

// The transpose of outputAxis.
inline void outputGradAxis(const V* y, int64_t step, V* m, int64_t to) {
  const V y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
  const V even = y0 + y2, odd = y1 + y3;
  m[0] = y0;
  m[to] = even + odd;
  m[2 * to] = even - odd;
  m[3 * to] = y0 + 0.5f * y1 + 0.25f * y2 + 0.125f * y3;
  m[4 * to] = y0 - 2.0f * y1 + 4.0f * y2 - 8.0f * y3;
  m[5 * to] = y3;
}

inline void filterAxis(const V* g, int64_t step, V* u, int64_t to) {
  const V g0 = g[0], g1 = g[step], g2 = g[2 * step], ends = g0 + g2;
  u[0] = g0;
  u[to] = (ends + g1) * (1.0f / 3);
  u[2 * to] = (g1 - ends) * (1.0f / 3);
  u[3 * to] = (g0 + 0.5f * g1 + 0.25f * g2) * (-16.0f / 15);
  u[4 * to] = (g0 - 2.0f * g1 + 4.0f * g2) * (1.0f / 15);
  u[5 * to] = g2;
}

// The transpose of filterAxis.
inline void filterGradAxis(const V* u, int64_t step, V* g, int64_t to) {
  const V ends = (u[step] - u[2 * step]) * (1.0f / 3), half = u[3 * step] * (-16.0f / 15), two = u[4 * step] * (1.0f / 15);
  g[0] = u[0] + ends + half + two;
  g[to] = (u[step] + u[2 * step]) * (1.0f / 3) + 0.5f * half - 2.0f * two;
  g[2 * to] = ends + 0.25f * half + 4.0f * two + u[5 * step];
}

// A step between matrices that does not send all of them to the same lines of a cache.
int64_t apart(int64_t size) { return size + kLanes; }

// Where tiles of kOut x kOut pixels lie in images [n, height, width, channels], and the pixels around them that a filter sees.
struct Tiling {
  Tiling(int64_t n, int64_t outHeight, int64_t outWidth) : rows((outHeight + kOut - 1) / kOut), columns((outWidth + kOut - 1) / kOut) {
    count = n * rows * columns;
  }
  int64_t rows, columns, count;
};

// Pointers to kSize x kSize pixels from (y, x) on; `outside` for those that the image has not.
template <int64_t kSize, typename T>
std::array<T*, kSize * kSize> pixelsOf(T* image, int64_t height, int64_t width, int64_t channels, int64_t y, int64_t x, T* outside) {
  std::array<T*, kSize * kSize> pixels;
  for (int64_t i = 0; i < kSize; ++i) {
    for (int64_t j = 0; j < kSize; ++j) {
      const bool inside = y + i >= 0 && y + i < height && x + j >= 0 && x + j < width;
      pixels[i * kSize + j] = inside ? image + ((y + i) * width + x + j) * channels : outside;
    }
  }
  return pixels;
}

struct Images {
  int64_t height, width, channels;
  int64_t size() const { return height * width * channels; }
};

// to [kPositions][count][channels], `step` from one position to the next, of `count` tiles from `first` on.
void transformInput(const float* x, const Images& images, const Tiling& tiling, int64_t top, int64_t left, int64_t first, int64_t count,
                    float* to, int64_t step) {
  const std::vector<float> zeros(images.channels);
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t, n = tile / (tiling.rows * tiling.columns);
    const int64_t row = tile / tiling.columns % tiling.rows, column = tile % tiling.columns;
    const auto pixels = pixelsOf<kTile>(x + n * images.size(), images.height, images.width, images.channels, row * kOut - top,
                                        column * kOut - left, zeros.data());
    for (int64_t c = 0; c < images.channels; c += kLanes) {
      V d[kPositions], v[kPositions];
      for (int64_t j = 0; j < kTile; ++j) {
        V line[kTile];
        for (int64_t i = 0; i < kTile; ++i) line[i] = read(pixels[i * kTile + j] + c);
        inputAxis(line, 1, d + j, kTile);
      }
      for (int64_t i = 0; i < kTile; ++i) {
        inputAxis(d + i * kTile, 1, v, 1);
        for (int64_t j = 0; j < kTile; ++j) write(to + (i * kTile + j) * step + t * images.channels + c, v[j]);
      }
    }
  }
}

// As transformInput, of the gradients of output tiles.
void transformOutputGrad(const float* dy, const Images& images, const Tiling& tiling, int64_t first, int64_t count, float* to,
                         int64_t step) {
  const std::vector<float> zeros(images.channels);
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t, n = tile / (tiling.rows * tiling.columns);
    const int64_t row = tile / tiling.columns % tiling.rows, column = tile % tiling.columns;
    const auto pixels = pixelsOf<kOut>(dy + n * images.size(), images.height, images.width, images.channels, row * kOut, column * kOut,
                                       zeros.data());
    for (int64_t c = 0; c < images.channels; c += kLanes) {
      V m[kTile * kOut], v[kTile];
      for (int64_t j = 0; j < kOut; ++j) {
        V line[kOut];
        for (int64_t i = 0; i < kOut; ++i) line[i] = read(pixels[i * kOut + j] + c);
        outputGradAxis(line, 1, m + j, kOut);
      }
      for (int64_t i = 0; i < kTile; ++i) {
        outputGradAxis(m + i * kOut, 1, v, 1);
        for (int64_t j = 0; j < kTile; ++j) write(to + (i * kTile + j) * step + t * images.channels + c, v[j]);
      }
    }
  }
}

// Channels [from, from + channels) of the output, from products [kPositions][count][kColumns].
void transformOutput(const float* products, int64_t step, float* y, const Images& images, const Tiling& tiling, int64_t first,
                     int64_t count, int64_t from, int64_t channels) {
  std::vector<float> outside(images.channels);
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t, n = tile / (tiling.rows * tiling.columns);
    const int64_t row = tile / tiling.columns % tiling.rows, column = tile % tiling.columns;
    const auto pixels = pixelsOf<kOut>(y + n * images.size(), images.height, images.width, images.channels, row * kOut, column * kOut,
                                       outside.data());
    for (int64_t c = 0; c < channels; c += kLanes) {
      V m[kOut * kTile], v[kOut];
      for (int64_t j = 0; j < kTile; ++j) {
        V line[kTile];
        for (int64_t i = 0; i < kTile; ++i) line[i] = read(products + (i * kTile + j) * step + t * kColumns + c);
        outputAxis(line, 1, m + j, kTile);
      }
      for (int64_t i = 0; i < kOut; ++i) {
        outputAxis(m + i * kTile, 1, v, 1);
        for (int64_t j = 0; j < kOut; ++j) write(pixels[i * kOut + j] + from + c, v[j]);
      }
    }
  }
}

// Transformed filters: for each position panels of 2 x kLanes columns, the last may have kLanes, [depth][columns of the panel] each.
struct Filters {
  Filters(int64_t depth, int64_t columns)
      : depth(depth), columns(columns), step(apart(depth * columns)), memory(at::empty({kPositions * step}, at::kFloat)),
        values(memory.data_ptr<float>()) {}
  float* at(int64_t position, int64_t column) const { return values + position * step + column * depth; }
  int64_t depth, columns, step;
  Tensor memory;
  float* values;
};

// Of taps [kTaps] that lie `tapStep` apart, each [depth, columns] with `depthStep` from row to row.
Filters transformFilters(const float* taps, int64_t tapStep, int64_t depthStep, int64_t depth, int64_t columns) {
  Filters filters(depth, columns);
  at::parallel_for(0, depth, std::max<int64_t>(1, 16384 / columns), [&](int64_t begin, int64_t end) {
    for (int64_t column = 0; column < columns; column += 2 * kLanes) {
      const int64_t width = std::min(2 * kLanes, columns - column);
      for (int64_t d = begin; d < end; ++d) {
        for (int64_t lane = 0; lane < width; lane += kLanes) {
          V g[kTaps], half[kTile * 3], u[kTile];
          for (int64_t tap = 0; tap < kTaps; ++tap) g[tap] = read(taps + tap * tapStep + d * depthStep + column + lane);
          for (int64_t j = 0; j < 3; ++j) filterAxis(g + j, 3, half + j, 3);
          for (int64_t i = 0; i < kTile; ++i) {
            filterAxis(half + i * 3, 1, u, 1);
            for (int64_t j = 0; j < kTile; ++j) write(filters.at(i * kTile + j, column) + d * width + lane, u[j]);
          }
        }
      }
    }
  });
  return filters;
}

// [out, h, w, in], which filter_layout made of a filter [h, w, in, out] already.
Tensor outFirst(const Tensor& filter) { return filter.permute({3, 0, 1, 2}).contiguous(); }

// [out, taps, in] -> [taps, in, out]
Tensor outLast(const Tensor& filter, int64_t out, int64_t in) {
  Tensor result = at::empty({kTaps, in, out}, filter.options());
  const float* from = filter.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, in / kLanes, std::max<int64_t>(1, 16384 / (kTaps * out * kLanes)), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin * kLanes; c < end * kLanes; c += kLanes) {
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        for (int64_t k = 0; k < out; k += kLanes) {
          for (int64_t i = 0; i < kLanes; ++i) {
            for (int64_t j = 0; j < kLanes; ++j) to[(tap * in + c + i) * out + k + j] = from[((k + j) * kTaps + tap) * in + c + i];
          }
        }
      }
    }
  });
  return result;
}

// Images [n, ...] convolved; `filters` have as many rows as an image has channels, and as many columns as the result.
Tensor convolve(const Tensor& x, const Images& images, const Filters& filters, int64_t outHeight, int64_t outWidth, int64_t top,
                int64_t left) {
  const int64_t n = x.size(0), in = images.channels, out = filters.columns;
  Tensor y = at::empty({n, outHeight, outWidth, out}, x.options());
  const Tiling tiling(n, outHeight, outWidth);
  const int64_t threads = at::get_num_threads();
  const int64_t most = std::max(kLeastTiles, kBlockFloats / (kPositions * in));
  // Alike, and of whole groups of rows of a product.
  const int64_t groups = (tiling.count + kProductRows - 1) / kProductRows;
  const int64_t rounds = (tiling.count + most * threads - 1) / (most * threads);
  const int64_t block = (groups + rounds * threads - 1) / (rounds * threads) * kProductRows;
  const int64_t inputStep = apart(block * in), productStep = apart(block * kColumns);
  const int64_t each = kPositions * (inputStep + productStep);
  const Tensor memory = at::empty({threads * each}, x.options());
  const float* source = x.data_ptr<float>();
  float* target = y.data_ptr<float>();
  float* scratch = memory.data_ptr<float>();
  const Images results{outHeight, outWidth, out};
  at::parallel_for(0, (tiling.count + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    float* inputs = scratch + at::get_thread_num() * each;
    float* products = inputs + kPositions * inputStep;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * block, count = std::min(block, tiling.count - first);
      transformInput(source, images, tiling, top, left, first, count, inputs, inputStep);
      for (int64_t column = 0; column < out; column += kColumns) {
        const int64_t columns = std::min(kColumns, out - column);
        for (int64_t position = 0; position < kPositions; ++position) {
          for (int64_t k = 0; k < columns; k += 2 * kLanes) {
            const int64_t width = std::min(2 * kLanes, columns - k);
            multiplyRows(inputs + position * inputStep, in, count, filters.at(position, column + k), width,
                         products + position * productStep + k, kColumns);
          }
        }
        transformOutput(products, productStep, target, results, tiling, first, count, column, columns);
      }
    }
  });
  return y;
}

}  // namespace

bool WinogradConv::isWorthwhile() {
#ifdef __AVX2__
  return true;
#else
  return false;  // not measured
#endif
}

std::optional<WinogradConv> WinogradConv::of(IntArrayRef images, IntArrayRef filter, IntArrayRef stride, IntArrayRef padding,
                                             IntArrayRef dilation) {
  const auto all = [](IntArrayRef sizes, int64_t value) { return std::all_of(sizes.begin(), sizes.end(), [&](int64_t s) { return s == value; }); };
  if (images.size() != 4 || filter.size() != 4 || images[3] != filter[2]) return {};
  if (filter[0] != 3 || filter[1] != 3 || !all(stride, 1) || !all(dilation, 1)) return {};
  if (std::any_of(padding.begin(), padding.end(), [](int64_t p) { return p < 0 || p > 2; })) return {};
  WinogradConv w;
  w.n_ = images[0], w.height_ = images[1], w.width_ = images[2], w.in_ = images[3];
  w.outHeight_ = w.height_ + padding[0] + padding[1] - 2, w.outWidth_ = w.width_ + padding[2] + padding[3] - 2, w.out_ = filter[3];
  w.top_ = padding[0], w.left_ = padding[2];
  if (w.n_ <= 0 || w.outHeight_ <= 0 || w.outWidth_ <= 0 || w.in_ <= 0 || w.out_ <= 0) return {};
  if (!isWorthwhile() || w.in_ % kLanes != 0 || w.out_ % kLanes != 0) return {};
  // In products for a pair of channels, as measured beside oneDNN 2.6: of a convolution without padding, of the transformed tiles, of
  // their transforms, and of the filter's.
  const double tiles = static_cast<double>(Tiling(w.n_, w.outHeight_, w.outWidth_).count);
  const double in = static_cast<double>(w.in_), out = static_cast<double>(w.out_);
  const double direct = static_cast<double>(kTaps * w.n_ * w.outHeight_ * w.outWidth_);
  if (direct < kPositions * (tiles * (1 + 12 / in + 12 / out) + 20 + in * out / 5000)) return {};
  return w;
}

Tensor WinogradConv::gradientOf(const Tensor& dy) const {
  const std::array<int64_t, 4> expected = {n_, outHeight_, outWidth_, out_};
  TORCH_CHECK(dy.sizes() == IntArrayRef(expected), "dy of shape ", dy.sizes(), ": expected ", IntArrayRef(expected));
  return dy.contiguous();
}

Tensor WinogradConv::forward(const Tensor& x, const Tensor& filter) const {
  const Tensor taps = outLast(outFirst(filter), out_, in_);
  return convolve(x.contiguous(), {height_, width_, in_}, transformFilters(taps.data_ptr<float>(), in_ * out_, out_, in_, out_),
                  outHeight_, outWidth_, top_, left_);
}

Tensor WinogradConv::inputGrad(const Tensor& dy, const Tensor& filter) const {
  // The filter turned by half a circle: its last tap is the first.
  const Tensor taps = outFirst(filter);
  const Filters filters =
      transformFilters(taps.data_ptr<float>() + (kTaps - 1) * in_, -in_, kTaps * in_, out_, in_);
  return convolve(gradientOf(dy), {outHeight_, outWidth_, out_}, filters, height_, width_, 2 - top_, 2 - left_);
}

Tensor WinogradConv::filterGrad(const Tensor& x, const Tensor& dy) const {
  const Tensor images = x.contiguous(), gradients = gradientOf(dy);
  const Tiling tiling(n_, outHeight_, outWidth_);
  const int64_t most = std::max<int64_t>(128, 2 * kBlockFloats / (kPositions * (in_ + out_)));
  const int64_t block = std::min(most, tiling.count);
  const int64_t inputStep = apart(block * in_), outputStep = apart(block * out_), step = apart(out_ * in_);
  const Tensor memory = at::empty({kPositions * (inputStep + outputStep + step)}, x.options());
  const float* source = images.data_ptr<float>();
  const float* gradient = gradients.data_ptr<float>();
  float* inputs = memory.data_ptr<float>();
  float* outputs = inputs + kPositions * inputStep;
  float* sums = outputs + kPositions * outputStep;
  for (int64_t first = 0; first < tiling.count; first += block) {
    const int64_t count = std::min(block, tiling.count - first);
    at::parallel_for(0, count, 8, [&](int64_t begin, int64_t end) {
      transformInput(source, {height_, width_, in_}, tiling, top_, left_, first + begin, end - begin,
                     inputs + begin * in_, inputStep);
      transformOutputGrad(gradient, {outHeight_, outWidth_, out_}, tiling, first + begin, end - begin,
                          outputs + begin * out_, outputStep);
    });
    // By positions, whose sums are one thread's each: the same for any number of threads.
    at::parallel_for(0, kPositions, 1, [&](int64_t begin, int64_t end) {
      for (int64_t position = begin; position < end; ++position) {
        multiplyColumns(outputs + position * outputStep, out_, inputs + position * inputStep, in_, count, sums + position * step,
                        first > 0);
      }
    });
  }
  Tensor result = at::empty({out_, 3, 3, in_}, x.options());
  float* to = result.data_ptr<float>();
  at::parallel_for(0, out_, std::max<int64_t>(1, 16384 / in_), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t c = 0; c < in_; c += kLanes) {
        V half[3 * kTile], g[3];
        for (int64_t j = 0; j < kTile; ++j) {
          V line[kTile];
          for (int64_t i = 0; i < kTile; ++i) line[i] = read(sums + (i * kTile + j) * step + k * in_ + c);
          filterGradAxis(line, 1, half + j, kTile);
        }
        for (int64_t i = 0; i < 3; ++i) {
          filterGradAxis(half + i * kTile, 1, g, 1);
          for (int64_t j = 0; j < 3; ++j) write(to + (k * kTaps + i * 3 + j) * in_ + c, g[j]);
        }
      }
    }
  });
  return result.permute({1, 2, 3, 0});
}

}  // namespace detco
