// The ways to compute a convolution beside LibTorch's, against LibTorch's in float64; and matrix products.
#include "../src/blas.h"
#include "../src/conv_product.h"
#include "../src/conv_winograd.h"
#include "../src/lanes.h"
#include "expect.h"

#include <ATen/Parallel.h>

#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace detco_test {
namespace {

using at::Tensor;
using detco::ConvProduct;
using detco::matrixProduct;
using detco::WinogradConv;

struct Case {
  std::vector<int64_t> images, filter, stride, padding;
  bool fits;
  std::string name(const char* way) const {
    std::ostringstream text;
    text << way << " of " << at::IntArrayRef(images) << ' ' << at::IntArrayRef(filter) << " stride " << at::IntArrayRef(stride);
    return text.str();
  }
};

// A filter [h, w, in, out] as it lies in a model's memory, [out, h, w, in].
Tensor filterOf(const std::vector<int64_t>& shape) {
  return at::randn({shape[3], shape[0], shape[1], shape[2]}).permute({1, 2, 3, 0});
}

template <typename Way>
void check(const Way& way, const Case& c, const std::string& name) {
  const auto& [images, filter, stride, padding, fits] = c;
  const Tensor x = at::randn(images);
  const Tensor f = filterOf(filter);
  const Tensor padded = at::constant_pad_nd(x.to(at::kDouble).permute({0, 3, 1, 2}), {padding[2], padding[3], padding[0], padding[1]});
  const Tensor weights = f.to(at::kDouble).permute({3, 2, 0, 1});
  const Tensor y = at::convolution(padded, weights, {}, stride, {0, 0}, {1, 1}, false, {0, 0}, 1);
  const Tensor dy = at::randn(y.sizes()).permute({0, 2, 3, 1}).contiguous();
  const auto [dx, df, none] = at::convolution_backward(dy.to(at::kDouble).permute({0, 3, 1, 2}), padded, weights, c10::nullopt, stride,
                                                       {0, 0}, {1, 1}, false, {0, 0}, 1, {true, true, false});
  const Tensor inside = dx.slice(2, padding[0], padding[0] + images[1]).slice(3, padding[2], padding[2] + images[2]);
  expectClose(way.forward(x, f), y.permute({0, 2, 3, 1}), 1e-5, name);
  expectClose(way.forward(x, f.contiguous()), y.permute({0, 2, 3, 1}), 1e-5, name + ", filter laid out otherwise");
  expectClose(way.inputGrad(dy, f), inside.permute({0, 2, 3, 1}), 1e-5, name + ", input");
  expectClose(way.filterGrad(x, dy), df.permute({2, 3, 1, 0}), 1e-5, name + ", filter");
  const Tensor everyOther = at::stack({x, x}, 4).select(4, 1), turned = dy.transpose(1, 2).contiguous().transpose(1, 2);
  expect(at::equal(way.forward(everyOther, f), way.forward(x, f)), name + ", images that are not contiguous");
  expect(at::equal(way.inputGrad(turned, f), way.inputGrad(dy, f)), name + ", gradients that are not contiguous");
  const Tensor bad = at::randn({images[0], y.size(2) + 1, y.size(3), filter[3]});
  expectError([&] { way.filterGrad(x, bad); }, {"dy of shape", "expected"}, name + ", shape for the filter");
  expectError([&] { way.inputGrad(bad, f); }, {"dy of shape", "expected"}, name + ", shape for the input");
}

void checkProducts() {
  const std::vector<Case> cases = {
      {{40, 2, 2, 8}, {3, 3, 8, 12}, {1, 1}, {1, 1, 1, 1}, true},        {{33, 2, 2, 8}, {3, 3, 8, 6}, {2, 2}, {1, 1, 1, 1}, true},
      {{36, 2, 2, 5}, {3, 3, 5, 7}, {2, 2}, {0, 1, 0, 1}, true},         {{34, 1, 1, 16}, {3, 3, 16, 24}, {1, 1}, {1, 1, 1, 1}, true},
      {{32, 3, 2, 6}, {5, 3, 6, 10}, {1, 1}, {2, 2, 1, 1}, true},        {{32, 4, 4, 3}, {7, 7, 3, 4}, {1, 1}, {3, 3, 3, 3}, false},
      {{2, 3, 2, 1024}, {1, 1, 1024, 1024}, {1, 1}, {0, 0, 0, 0}, true}, {{30, 5, 6, 7}, {1, 1, 7, 9}, {2, 2}, {0, 0, 0, 0}, true},
      {{50, 6, 3, 7}, {1, 1, 7, 9}, {3, 1}, {0, 0, 0, 0}, true},         {{30, 16, 16, 8}, {1, 1, 8, 8}, {2, 2}, {0, 0, 0, 0}, false},
      {{9, 6, 6, 8}, {1, 1, 8, 8}, {2, 2}, {0, 0, 0, 0}, false},         {{300, 1, 1, 8}, {1, 1, 8, 8}, {2, 2}, {0, 0, 0, 0}, true},
      {{40, 6, 6, 8}, {1, 1, 8, 8}, {2, 2}, {1, 1, 1, 1}, false},        {{40, 6, 6, 8}, {1, 1, 8, 8}, {1, 1}, {0, 0, 0, 0}, false},
      {{32, 3, 3, 8}, {3, 3, 8, 8}, {1, 1}, {1, 1, 1, 1}, false},        {{31, 2, 2, 8}, {3, 3, 8, 8}, {1, 1}, {1, 1, 1, 1}, false},
      {{2, 3, 3, 1024}, {1, 1, 1024, 1024}, {1, 1}, {1, -1, 0, 0}, false}, {{32, 2, 2, 0}, {3, 3, 0, 8}, {1, 1}, {1, 1, 1, 1}, false},
      {{32, 2, 2, 8}, {3, 3, 9, 8}, {1, 1}, {1, 1, 1, 1}, false}};
  for (const Case& c : cases) {
    const std::string name = c.name("product");
    const auto product = ConvProduct::of(c.images, c.filter, c.stride, c.padding, {1, 1});
    expect(product.has_value() == c.fits, name + (c.fits ? " is one" : " is none"));
    if (product) check(*product, c, name);
  }
}

void checkWinograd() {
  // Whole and broken tiles, one block of them and many, panels of two registers and of one, paddings of all kinds.
  const std::vector<Case> cases = {
      {{2, 12, 12, 64}, {3, 3, 64, 64}, {1, 1}, {1, 1, 1, 1}, true},    {{9, 30, 29, 32}, {3, 3, 32, 48}, {1, 1}, {1, 1, 1, 1}, true},
      {{3, 13, 18, 48}, {3, 3, 48, 112}, {1, 1}, {0, 0, 0, 0}, true},   {{4, 17, 14, 112}, {3, 3, 112, 32}, {1, 1}, {0, 2, 1, 0}, true},
      {{2, 14, 22, 32}, {3, 3, 32, 32}, {1, 1}, {2, 2, 2, 2}, true},    {{288, 3, 3, 32}, {3, 3, 32, 32}, {1, 1}, {1, 1, 1, 1}, true},
      {{1, 12, 12, 96}, {3, 3, 96, 96}, {1, 1}, {1, 1, 1, 1}, true},    {{1, 4, 4, 64}, {3, 3, 64, 64}, {1, 1}, {1, 1, 1, 1}, false},
      {{9, 30, 30, 24}, {3, 3, 24, 32}, {1, 1}, {1, 1, 1, 1}, true},    {{9, 30, 30, 32}, {3, 3, 32, 24}, {1, 1}, {1, 1, 1, 1}, true},
      {{9, 30, 30, 32}, {3, 3, 32, 12}, {1, 1}, {1, 1, 1, 1}, false},   {{64, 6, 6, 64}, {3, 3, 64, 64}, {1, 1}, {0, 0, 0, 0}, false},
      {{9, 30, 30, 32}, {3, 3, 32, 32}, {2, 2}, {1, 1, 1, 1}, false},   {{9, 30, 30, 32}, {5, 5, 32, 32}, {1, 1}, {2, 2, 2, 2}, false},
      {{9, 30, 30, 32}, {3, 3, 32, 32}, {1, 1}, {3, 0, 0, 0}, false},   {{9, 30, 30, 32}, {3, 3, 32, 32}, {1, 1}, {-1, 0, 0, 0}, false},
      {{9, 30, 30, 16}, {3, 3, 32, 32}, {1, 1}, {1, 1, 1, 1}, false},   {{0, 30, 30, 32}, {3, 3, 32, 32}, {1, 1}, {1, 1, 1, 1}, false},
      {{9, 30, 1, 32}, {3, 3, 32, 32}, {1, 1}, {0, 0, 0, 0}, false},
  };
  for (const Case& c : cases) {
    const std::string name = c.name("Winograd's convolution");
    const auto way = WinogradConv::of(c.images, c.filter, c.stride, c.padding, {1, 1});
    // A register holds 16 channels, or 8.
    const auto whole = [](int64_t channels) { return channels % detco::kLanes == 0; };
    const bool fits = WinogradConv::kWorthwhile && c.fits && whole(c.images[3]) && whole(c.filter[3]);
    expect(way.has_value() == fits, name + (fits ? " is one" : " is none"));
    if (way) check(*way, c, name);
  }
  expect(!WinogradConv::of({9, 30, 30, 32}, {3, 3, 32, 32}, {1, 1}, {1, 1, 1, 1}, {2, 1}), "Winograd's convolution is not dilated");
  // 17 tiles: blocks of 17, of 12 and 5, and with more threads parts of their columns.
  const auto way = WinogradConv::of({1, 4, 68, 112}, {3, 3, 112, 112}, {1, 1}, {1, 1, 1, 1}, {1, 1});
  if (!way) return;
  const Tensor x = at::randn({1, 4, 68, 112}), f = filterOf({3, 3, 112, 112}), dy = at::randn({1, 4, 68, 112});
  const int threads = at::get_num_threads();
  std::vector<Tensor> expected;
  for (const int count : {1, 2, 3, 4}) {
    at::set_num_threads(count);
    const std::vector<Tensor> results = {way->forward(x, f), way->inputGrad(dy, f), way->filterGrad(x, dy)};
    if (expected.empty()) expected = results;
    for (size_t i = 0; i < results.size(); ++i) expect(at::equal(results[i], expected[i]), "Winograd's convolution: bits by threads");
  }
  at::set_num_threads(threads);
  Tensor bad = x.clone();
  bad[0][1][5][3] = std::numeric_limits<float>::quiet_NaN();
  expect(way->forward(bad, f).isnan().any(3).sum().item<int64_t>() == 16, "Winograd's convolution of NaN: the tile that sees it");
}

void checkMatrixProduct() {
  // Split over threads by rows and by columns, of layouts that BLAS takes and of one that it does not.
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{300, 210}, {210, 300}}) {
    const Tensor a = at::randn({m, 260}), b = at::randn({260, n});
    const Tensor expected = at::mm(a.to(at::kDouble), b.to(at::kDouble));
    expectClose(matrixProduct(a, b), expected, 1e-5, "matrix product");
    expectClose(matrixProduct(a.t().contiguous().t(), b.t().contiguous().t()), expected, 1e-5, "matrix product of transposed");
    expectClose(matrixProduct(at::stack({a, a}, 2).select(2, 1), b), expected, 1e-5, "matrix product of every other");
  }
  expectError([&] { matrixProduct(at::ones({2, 3}), at::ones({4, 5})); }, {"2x3", "4x5"}, "matrix product of shapes");
}

}  // namespace

void checkConvolutions() {
  checkProducts();
  checkWinograd();
  checkMatrixProduct();
}

}  // namespace detco_test
