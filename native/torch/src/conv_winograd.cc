#include "conv_winograd.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "lanes.h"
#include "product_tile.h"

namespace detco {
namespace {

using at::IntArrayRef;
using at::Tensor;
using V = Vector<kLanes>;

constexpr int64_t kOut = 4;   // pixels of an output tile, along one axis
constexpr int64_t kTile = 6;  // of an input tile
constexpr int64_t kPositions = kTile * kTile;
constexpr int64_t kTaps = 9;

// Tiles that are transformed before they are multiplied. With more the transforms leave the caches, with fewer the filters are read more
// often: 24, 48, 57 and 113 took 4.6, 4.8, 5.1 and 5.5 ms (8 images of 56x56 pixels, 64 channels), 24, 48 and 96 took 9.1, 9.3 and 8.8
// (14x14, 256 channels).
constexpr int64_t kBlock = 48;
// And for a filter's gradient, which adds a sum of every pair of channels for each block.
constexpr int64_t kGradBlock = 128;
// Output channels whose products are transformed at a time, so that they stay in the cache.
constexpr int64_t kColumns = 64;
// Elements of a filter that are worth a thread more.
constexpr int64_t kGrain = 16384;

// The transforms along one axis, with the points 0, 1, -1, 1/2, -2 and infinity, which round less than 0, 1, -1, 2, -2 do (Barabasz et al.,
// "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", arXiv 1803.10986).
inline void inputAxis(const V* d, V* t) {
  const V d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5];
  const V even = d4 - d2, odd = d3 - d1;
  t[0] = d0 - d2 + even + 1.5f * odd;
  t[1] = even + odd + 1.5f * (d3 + d2);
  t[2] = even - odd + 1.5f * (d3 - d2);
  t[3] = even + 2.0f * odd;
  t[4] = even - 0.5f * odd;
  t[5] = d5 - d3 - odd + 1.5f * even;
}

inline void outputAxis(const V* m, V* y) {
  const V a = m[1] + m[2], b = m[1] - m[2], m3 = m[3], m4 = m[4];
  y[0] = m[0] + a + m3 + m4;
  y[1] = b + 0.5f * m3 - 2.0f * m4;
  y[2] = a + 0.25f * m3 + 4.0f * m4;
  y[3] = b + 0.125f * m3 - 8.0f * m4 + m[5];
}

// The transpose of outputAxis.
inline void outputGradAxis(const V* y, V* m) {
  const V y0 = y[0], y1 = y[1], y2 = y[2], y3 = y[3];
  const V even = y0 + y2, odd = y1 + y3;
  m[0] = y0;
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = y0 + 0.5f * y1 + 0.25f * y2 + 0.125f * y3;
  m[4] = y0 - 2.0f * y1 + 4.0f * y2 - 8.0f * y3;
  m[5] = y3;
}

inline void filterAxis(const V* g, V* u) {
  const V g0 = g[0], g1 = g[1], g2 = g[2], ends = g0 + g2;
  u[0] = g0;
  u[1] = (ends + g1) * (1.0f / 3);
  u[2] = (g1 - ends) * (1.0f / 3);
  u[3] = (g0 + 0.5f * g1 + 0.25f * g2) * (-16.0f / 15);
  u[4] = (g0 - 2.0f * g1 + 4.0f * g2) * (1.0f / 15);
  u[5] = g2;
}

// The transpose of filterAxis.
inline void filterGradAxis(const V* u, V* g) {
  const V ends = (u[1] - u[2]) * (1.0f / 3), half = u[3] * (-16.0f / 15), two = u[4] * (1.0f / 15);
  g[0] = u[0] + ends + half + two;
  g[1] = (u[1] + u[2]) * (1.0f / 3) + 0.5f * half - 2.0f * two;
  g[2] = ends + 0.25f * half + 4.0f * two + u[5];
}

// Transforms a square of kFrom x kFrom values, load(i, j), to kTo x kTo, store(i, j, value): along columns, then along rows.
template <int64_t kFrom, int64_t kTo, typename Axis, typename Load, typename Store>
inline void transform(const Axis& axis, const Load& load, const Store& store) {
  V half[kTo][kFrom];
  for (int64_t j = 0; j < kFrom; ++j) {
    V from[kFrom], to[kTo];
    for (int64_t i = 0; i < kFrom; ++i) from[i] = load(i, j);
    axis(from, to);
    for (int64_t i = 0; i < kTo; ++i) half[i][j] = to[i];
  }
  for (int64_t i = 0; i < kTo; ++i) {
    V to[kTo];
    axis(half[i], to);
    for (int64_t j = 0; j < kTo; ++j) store(i, j, to[j]);
  }
}

// Images [n, height, width, channels] of which each output tile sees a square of pixels.
template <typename T>
struct Images {
  // Of the tile's square of kSize x kSize pixels; `outside` for those that the image has not.
  template <int64_t kSize>
  std::array<T*, kSize * kSize> pixels(const WinogradConv::Tiling& tiling, int64_t tile, T* outside) const {
    T* image = data + tile / (tiling.rows * tiling.columns) * height * width * channels;
    const int64_t y = tile / tiling.columns % tiling.rows * kOut - top, x = tile % tiling.columns * kOut - left;
    std::array<T*, kSize * kSize> result;
    for (int64_t i = 0; i < kSize; ++i) {
      for (int64_t j = 0; j < kSize; ++j) {
        const bool inside = y + i >= 0 && y + i < height && x + j >= 0 && x + j < width;
        result[i * kSize + j] = inside ? image + ((y + i) * width + x + j) * channels : outside;
      }
    }
    return result;
  }

  T* data;
  int64_t height, width, channels;
  int64_t top = 0, left = 0;  // padding
};

// kPositions matrices [rows, columns], so far apart that they do not all fall on the same lines of a cache.
struct Matrices {
  Matrices(float* data, int64_t rows, int64_t columns) : data(data), step(stepOf(rows, columns)), columns(columns) {}
  static int64_t stepOf(int64_t rows, int64_t columns) { return rows * columns + kLanes; }
  static int64_t sizeOf(int64_t rows, int64_t columns) { return kPositions * stepOf(rows, columns); }
  float* row(int64_t position, int64_t r) const { return data + position * step + r * columns; }
  float* data;
  int64_t step, columns;
};

// Rows [row, row + count) of `to`: the transforms of the tiles from `first` on. `zeros` has as many as channels.
template <int64_t kSize, typename Axis>
void transformTiles(const Axis& axis, const Images<const float>& images, const WinogradConv::Tiling& tiling, int64_t first, int64_t count,
                    const float* zeros, const Matrices& to, int64_t row) {
  for (int64_t t = 0; t < count; ++t) {
    const auto pixels = images.template pixels<kSize>(tiling, first + t, zeros);
    for (int64_t c = 0; c < images.channels; c += kLanes) {
      transform<kSize, kTile>(
          axis, [&](int64_t i, int64_t j) -> const V& { return loadLanes(pixels[i * kSize + j] + c); },
          [&](int64_t i, int64_t j, const V& value) { storeLanes(to.row(i * kTile + j, row + t) + c, value); });
    }
  }
}

// Channels [channel, channel + columns) of the output tiles from `first` on; `outside` has as many elements as channels.
void transformProducts(const Matrices& products, int64_t columns, const Images<float>& images, const WinogradConv::Tiling& tiling,
                       int64_t first, int64_t count, int64_t channel, float* outside) {
  for (int64_t t = 0; t < count; ++t) {
    const auto pixels = images.pixels<kOut>(tiling, first + t, outside);
    for (int64_t c = 0; c < columns; c += kLanes) {
      transform<kTile, kOut>(
          outputAxis, [&](int64_t i, int64_t j) -> const V& { return loadLanes(products.row(i * kTile + j, t) + c); },
          [&](int64_t i, int64_t j, const V& value) { storeLanes(pixels[i * kOut + j] + channel + c, value); });
    }
  }
}

// Transformed filters: for each position panels of 2 x kLanes columns, the last may have kLanes, [depth, columns of the panel] each.
struct Filters {
  Filters(int64_t depth, int64_t columns)
      : depth(depth),
        columns(columns),
        memory(at::empty({Matrices::sizeOf(depth, columns)}, at::kFloat)),
        values(memory.data_ptr<float>(), depth, columns) {}
  int64_t widthOf(int64_t column) const { return std::min(2 * kLanes, columns - column); }
  float* panel(int64_t position, int64_t column) const { return values.row(position, 0) + column * depth; }
  int64_t depth, columns;
  Tensor memory;
  Matrices values;
};

// Of taps [kTaps] that lie `tapStep` apart, each [depth, columns] with `depthStep` from row to row.
Filters transformFilters(const float* taps, int64_t tapStep, int64_t depthStep, int64_t depth, int64_t columns) {
  Filters filters(depth, columns);
  at::parallel_for(0, depth, std::max<int64_t>(1, kGrain / columns), [&](int64_t begin, int64_t end) {
    for (int64_t column = 0; column < columns; column += 2 * kLanes) {
      const int64_t width = filters.widthOf(column);
      for (int64_t d = begin; d < end; ++d) {
        for (int64_t lane = 0; lane < width; lane += kLanes) {
          const float* from = taps + d * depthStep + column + lane;
          float* to = filters.panel(0, column) + d * width + lane;
          transform<3, kTile>(
              filterAxis, [&](int64_t i, int64_t j) -> const V& { return loadLanes(from + (i * 3 + j) * tapStep); },
              [&](int64_t i, int64_t j, const V& value) { storeLanes(to + (i * kTile + j) * filters.values.step, value); });
        }
      }
    }
  });
  return filters;
}

// [out, h, w, in], which filter_layout made of a filter [h, w, in, out] already.
Tensor outFirst(const Tensor& filter) { return filter.permute({3, 0, 1, 2}).contiguous(); }

// [out, taps, in] -> [taps, in, out], by squares that fit in the nearest cache.
Tensor outLast(const Tensor& filter, int64_t out, int64_t in) {
  Tensor result = at::empty({kTaps, in, out}, filter.options());
  const float* from = filter.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, in / kLanes, std::max<int64_t>(1, kGrain / (kTaps * out * kLanes)), [&](int64_t begin, int64_t end) {
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

// `filters` have as many rows as an image has channels, and as many columns as a result.
void convolve(const Images<const float>& images, const Filters& filters, const WinogradConv::Tiling& tiling, const Images<float>& results) {
  const int64_t in = images.channels, out = results.channels;
  // Blocks alike, of whole groups of a product's rows, and where there are fewer of them than threads, each by parts of its columns.
  const int64_t threads = at::get_num_threads();
  const int64_t groups = (tiling.count + kProductRows - 1) / kProductRows;
  const int64_t rounds = (tiling.count + kBlock * threads - 1) / (kBlock * threads);
  const int64_t block = (groups + rounds * threads - 1) / (rounds * threads) * kProductRows;
  const int64_t blocks = (tiling.count + block - 1) / block;
  const int64_t chunks = (out + kColumns - 1) / kColumns;
  const int64_t parts = std::max<int64_t>(1, std::min(chunks, threads / blocks));
  // By slots and not by threads, whose numbers are another runtime's where LibTorch brings an OpenMP of its own.
  const int64_t slots = std::min(threads, blocks * parts);
  const int64_t inputSize = Matrices::sizeOf(block, in), productSize = Matrices::sizeOf(block, kColumns);
  const int64_t each = inputSize + productSize + out;
  const Tensor memory = at::empty({slots * each + in}, at::kFloat);
  float* scratch = memory.data_ptr<float>();
  float* zeros = scratch + slots * each;
  std::fill_n(zeros, in, 0.0f);
  at::parallel_for(0, slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      float* own = scratch + slot * each;
      const Matrices inputs(own, block, in), products(own + inputSize, block, kColumns);
      float* outside = own + inputSize + productSize;
      for (int64_t work = slot; work < blocks * parts; work += slots) {
        const int64_t first = work / parts * block, count = std::min(block, tiling.count - first);
        transformTiles<kTile>(inputAxis, images, tiling, first, count, zeros, inputs, 0);
        for (int64_t chunk = work % parts; chunk < chunks; chunk += parts) {
          const int64_t channel = chunk * kColumns, columns = std::min(kColumns, out - channel);
          for (int64_t position = 0; position < kPositions; ++position) {
            for (int64_t k = 0; k < columns; k += 2 * kLanes) {
              multiplyRows(inputs.row(position, 0), in, count, filters.panel(position, channel + k), filters.widthOf(channel + k),
                           products.row(position, 0) + k, kColumns);
            }
          }
          transformProducts(products, columns, results, tiling, first, count, channel, outside);
        }
      }
    }
  });
}

}  // namespace

WinogradConv::Tiling::Tiling(int64_t n, int64_t height, int64_t width)
    : rows((height + kOut - 1) / kOut), columns((width + kOut - 1) / kOut), count(n * rows * columns) {}

std::optional<WinogradConv> WinogradConv::of(IntArrayRef images, IntArrayRef filter, IntArrayRef stride, IntArrayRef padding,
                                             IntArrayRef dilation) {
  if (!kWorthwhile || images.size() != 4 || filter.size() != 4 || images[3] != filter[2]) return {};
  const auto all = [](IntArrayRef sizes, int64_t value) {
    return std::all_of(sizes.begin(), sizes.end(), [&](int64_t size) { return size == value; });
  };
  if (!all(filter.slice(0, 2), 3) || !all(stride, 1) || !all(dilation, 1)) return {};
  if (std::any_of(padding.begin(), padding.end(), [](int64_t size) { return size < 0 || size > 2; })) return {};
  WinogradConv w;
  w.n_ = images[0], w.height_ = images[1], w.width_ = images[2], w.in_ = images[3];
  w.outHeight_ = w.height_ + padding[0] + padding[1] - 2, w.outWidth_ = w.width_ + padding[2] + padding[3] - 2, w.out_ = filter[3];
  w.top_ = padding[0], w.left_ = padding[2];
  if (w.n_ <= 0 || w.outHeight_ <= 0 || w.outWidth_ <= 0 || w.in_ <= 0 || w.out_ <= 0) return {};
  if (w.in_ % kLanes != 0 || w.out_ % kLanes != 0 || !w.isFaster()) return {};
  return w;
}

// In multiplications for a pair of channels, from times of the shapes of ResNet-50 and of `tiny` beside oneDNN 2.6's, on one and two
// threads.
bool WinogradConv::isFaster() const {
  const double in = static_cast<double>(in_), out = static_cast<double>(out_);
  // Of the output forward, of the input for its gradient.
  const int64_t most = std::max(Tiling(n_, outHeight_, outWidth_).count, Tiling(n_, height_, width_).count);
  // With the transforms of input and output.
  const double tiles = static_cast<double>(most) * (1 + 12 / out + 12 / in);
  // The transform of the filters: more where they do not fit in a cache.
  const double filters = 20 + in * out / 5000;
  return static_cast<double>(n_ * outHeight_ * outWidth_ * kTaps) > kPositions * (tiles + filters);
}

Tensor WinogradConv::gradientOf(const Tensor& dy) const {
  const std::array<int64_t, 4> expected = {n_, outHeight_, outWidth_, out_};
  TORCH_CHECK(dy.sizes() == IntArrayRef(expected), "dy of shape ", dy.sizes(), ": expected ", IntArrayRef(expected));
  return dy.contiguous();
}

Tensor WinogradConv::forward(const Tensor& x, const Tensor& filter) const {
  const Filters filters = [&] {
    const Tensor taps = outLast(outFirst(filter), out_, in_);
    return transformFilters(taps.data_ptr<float>(), in_ * out_, out_, in_, out_);
  }();
  const Tensor images = x.contiguous();
  Tensor y = at::empty({n_, outHeight_, outWidth_, out_}, x.options());
  convolve({images.data_ptr<float>(), height_, width_, in_, top_, left_}, filters, {n_, outHeight_, outWidth_},
           {y.data_ptr<float>(), outHeight_, outWidth_, out_});
  return y;
}

Tensor WinogradConv::inputGrad(const Tensor& dy, const Tensor& filter) const {
  const Tensor gradients = gradientOf(dy), taps = outFirst(filter);
  // The filter turned by half a circle: its last tap is the first.
  const Filters filters = transformFilters(taps.data_ptr<float>() + (kTaps - 1) * in_, -in_, kTaps * in_, out_, in_);
  Tensor dx = at::empty({n_, height_, width_, in_}, dy.options());
  convolve({gradients.data_ptr<float>(), outHeight_, outWidth_, out_, 2 - top_, 2 - left_}, filters, {n_, height_, width_},
           {dx.data_ptr<float>(), height_, width_, in_});
  return dx;
}

Tensor WinogradConv::filterGrad(const Tensor& x, const Tensor& dy) const {
  const Tensor inputs = x.contiguous(), outputs = gradientOf(dy);
  const Images<const float> images{inputs.data_ptr<float>(), height_, width_, in_, top_, left_};
  const Images<const float> gradients{outputs.data_ptr<float>(), outHeight_, outWidth_, out_};
  const Tiling tiling(n_, outHeight_, outWidth_);
  // Not by the number of threads, on which the sums would depend.
  const int64_t block = std::min(kGradBlock, tiling.count);
  const int64_t imageSize = Matrices::sizeOf(block, in_), gradientSize = Matrices::sizeOf(block, out_);
  const Tensor memory = at::empty({imageSize + gradientSize + Matrices::sizeOf(out_, in_)}, x.options());
  const Tensor zeros = at::zeros({std::max(in_, out_)}, x.options());
  const float* outside = zeros.data_ptr<float>();
  float* own = memory.data_ptr<float>();
  const Matrices a(own, block, out_), b(own + gradientSize, block, in_), sums(own + gradientSize + imageSize, out_, in_);
  const int64_t strips = (out_ + kColumns - 1) / kColumns;
  for (int64_t first = 0; first < tiling.count; first += block) {
    const int64_t count = std::min(block, tiling.count - first);
    at::parallel_for(0, count, 8, [&](int64_t begin, int64_t end) {
      transformTiles<kOut>(outputGradAxis, gradients, tiling, first + begin, end - begin, outside, a, begin);
      transformTiles<kTile>(inputAxis, images, tiling, first + begin, end - begin, outside, b, begin);
    });
    at::parallel_for(0, kPositions * strips, 1, [&](int64_t begin, int64_t end) {
      for (int64_t work = begin; work < end; ++work) {
        const int64_t position = work / strips, row = work % strips * kColumns, rows = std::min(kColumns, out_ - row);
        multiplyColumns(a.row(position, 0) + row, out_, rows, b.row(position, 0), in_, count, sums.row(position, row), first > 0);
      }
    });
  }
  Tensor result = at::empty({out_, 3, 3, in_}, x.options());
  float* to = result.data_ptr<float>();
  at::parallel_for(0, out_, std::max<int64_t>(1, kGrain / in_), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t c = 0; c < in_; c += kLanes) {
        transform<kTile, 3>(
            filterGradAxis, [&](int64_t i, int64_t j) -> const V& { return loadLanes(sums.row(i * kTile + j, k) + c); },
            [&](int64_t i, int64_t j, const V& value) { storeLanes(to + (k * kTaps + i * 3 + j) * in_ + c, value); });
      }
    }
  });
  return result.permute({1, 2, 3, 0});
}

}  // namespace detco
