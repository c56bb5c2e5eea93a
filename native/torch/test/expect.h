// What the tests expect, counted.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

namespace detco_test {

void expect(bool good, const std::string& what);

// That the largest difference is within `tolerance` of the largest magnitude expected, or of `scale`.
void expectClose(
    const at::Tensor& actual, const at::Tensor& expected, double tolerance, const std::string& what, double scale = 0);

// That the call throws an error with all `parts` in its message.
void expectError(const std::function<void()>& call, const std::vector<std::string>& parts, const std::string& what);

// Prints how many expectations there were and how many failed. The process's exit status.
int report();

}  // namespace detco_test
