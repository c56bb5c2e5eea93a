#include "expect.h"

#include <c10/util/Exception.h>

#include <cstdio>

namespace detco_test {
namespace {

int checks = 0;
int failures = 0;

// Largest difference, relative to the largest magnitude expected, or to `scale`.
double errorOf(const at::Tensor& actual, const at::Tensor& expected, double scale) {
  const at::Tensor e = expected.to(at::kDouble);
  if (scale == 0) scale = e.abs().max().item<double>();
  return (actual.to(at::kDouble) - e).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

}  // namespace

void expect(bool good, const std::string& what) {
  ++checks;
  if (good) return;
  ++failures;
  std::printf("FAILED %s\n", what.c_str());
}

void expectClose(const at::Tensor& actual, const at::Tensor& expected, double tolerance, const std::string& what, double scale) {
  const bool shaped = actual.sizes() == expected.sizes();
  const double error = shaped ? errorOf(actual, expected, scale) : -1;
  char figures[64];
  std::snprintf(figures, sizeof figures, ": error %.3g, tolerance %.1g", error, tolerance);
  expect(shaped && error <= tolerance, what + figures);
}

void expectError(const std::function<void()>& call, const std::vector<std::string>& parts, const std::string& what) {
  try {
    call();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    for (const std::string& part : parts) expect(text.find(part) != std::string::npos, what + ": no '" + part + "' in: " + text);
    return;
  }
  expect(false, what + ": expected an error");
}

int report() {
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace detco_test
