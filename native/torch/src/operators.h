// Calling any operator of LibTorch by its name: arguments are converted as its schema says.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <napi.h>

#include <string>
#include <vector>

#include "table.h"

namespace detco {

class Operator {
 public:
  // "aten::add.Tensor": namespace, name and overload.
  explicit Operator(const std::string& name);

  // Runs on the arguments that follow `first` in `info`; missing ones take the schema's defaults. Tensors are numbers of `table`.
  torch::jit::Stack call(const Napi::CallbackInfo& info, size_t first, const Table& table) const;

  const std::string& name() const { return name_; }

 private:
  enum class Kind { Tensor, TensorList, Int, IntList, Float, Bool, BoolList, Scalar, String, Device };
  struct Argument {
    Kind kind;
    bool optional;
    c10::optional<c10::IValue> fallback;
    std::string name;
  };

  c10::IValue convert(const Argument& argument, const Napi::Value& value, const Table& table) const;
  std::string describe(const Napi::CallbackInfo& info, size_t first, const Table& table) const;

  std::string name_;
  c10::OperatorHandle handle_;
  std::vector<Argument> arguments_;
};

}  // namespace detco
