// Definitions that the host compiles and, as text, NVRTC, from one place.
#pragma once

// Declares what follows the name, and the name as its text.
#define DETCO_SHARED(NAME, ...) \
  __VA_ARGS__                   \
  constexpr const char* NAME = #__VA_ARGS__;

// Before a function in such text; for NVRTC it stands for `__device__ inline`.
#define DETCO_DEVICE inline
