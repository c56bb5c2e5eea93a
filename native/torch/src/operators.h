// Calling any operator of LibTorch by its name: arguments are converted as its schema says.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <napi.h>

#include <string>
#include <vector>

#include "table.h"

namespace detco {

// The tensors of one argument of a call, by their numbers in the table.
struct TensorArgument {
  size_t argument;
  bool list;
  std::vector<int64_t> numbers;
};

// Calls `visit` on every tensor among an operator's results, those in lists included, in order.
template <typename Visit>
void forEachTensor(const torch::jit::Stack& results, Visit&& visit) {
  for (const auto& value : results) {
    if (value.isTensor()) visit(value.toTensor());
    else if (value.isTensorList())
      for (const at::Tensor& tensor : value.toTensorVector()) visit(tensor);
  }
}

class Operator {
 public:
  // "aten::add.Tensor": namespace, name and overload.
  explicit Operator(const std::string& name);

  // The arguments that follow `first` in `info`, converted; missing ones take the schema's defaults. Tensors are numbers of `table`.
  torch::jit::Stack arguments(const Napi::CallbackInfo& info, size_t first, const Table& table) const;
  // Those of them that are tensors.
  std::vector<TensorArgument> tensors(const Napi::CallbackInfo& info, size_t first) const;
  // Takes the arguments off the stack and puts the results on it.
  void run(torch::jit::Stack& stack) const;
  // What `body` throws as a JavaScript error that names the operator and the shapes that it was given.
  template <typename Body>
  auto explained(const Napi::CallbackInfo& info, size_t first, const Table& table, Body&& body) const {
    try {
      return body();
    } catch (const Napi::Error&) {
      throw;
    } catch (const c10::Error& error) {
      throw Napi::Error::New(info.Env(), name_ + ": " + error.what_without_backtrace() + describe(info, first, table));
    } catch (const std::exception& error) {
      throw Napi::Error::New(info.Env(), name_ + ": " + error.what() + describe(info, first, table));
    }
  }

  const std::string& name() const { return name_; }
  // Whether it writes to that argument.
  bool writes(size_t argument) const;

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
