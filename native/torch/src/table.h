// The tensors that JavaScript holds, by small integers: a number costs no garbage collection, and freeing one frees at once.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace detco {

class Table {
 public:
  // Undefined tensors have no number: 0.
  int64_t add(at::Tensor tensor) {
    if (!tensor.defined()) return 0;
    ++live_;
    if (free_.empty()) {
      slots_.push_back(std::move(tensor));
      return static_cast<int64_t>(slots_.size());
    }
    const int64_t id = free_.back();
    free_.pop_back();
    slots_[id - 1] = std::move(tensor);
    return id;
  }

  const at::Tensor& get(int64_t id) const {
    TORCH_CHECK(id > 0 && id <= static_cast<int64_t>(slots_.size()) && slots_[id - 1].defined(),
                "tensor ", id, " is used after it was disposed of");
    return slots_[id - 1];
  }

  void free(int64_t id) {
    get(id);
    slots_[id - 1].reset();
    free_.push_back(id);
    --live_;
  }

  int64_t live() const { return live_; }

  void clear() {
    slots_.clear();
    free_.clear();
    live_ = 0;
  }

 private:
  std::vector<at::Tensor> slots_;
  std::vector<int64_t> free_;
  int64_t live_ = 0;
};

}  // namespace detco
