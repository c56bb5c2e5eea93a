#pragma once

#include <string>

namespace detco_test {

// Prints, for each case, milliseconds of LibTorch's own operators and of the fused one (the least of interleaved runs)
// and their ratio. `only`: cases whose name contains it.
int bench(const std::string& only);

}  // namespace detco_test
