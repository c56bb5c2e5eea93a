#include "program.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <napi.h>

namespace detco {

Program::Program(const std::vector<int64_t>& inputs) : inputs_(inputs.size()) {
  for (const int64_t number : inputs) add(number);
}

int Program::add(int64_t number) {
  const int index = static_cast<int>(registers_.size());
  registers_.emplace_back();
  if (number != 0) register_[number] = index;
  return index;
}

void Program::record(const Operator& op, torch::jit::Stack arguments, const std::vector<TensorArgument>& tensors,
                     const std::vector<int64_t>& results) {
  Call call{&op, std::move(arguments), {}, {}, {}};
  for (const auto& [argument, list, numbers] : tensors) {
    Source source{argument, list, {}};
    bool fresh = false;
    for (const int64_t number : numbers) {
      const auto found = register_.find(number);
      source.registers.push_back(found == register_.end() ? kHeld : found->second);
      fresh = fresh || found != register_.end();
    }
    if (!fresh) continue;
    // What is computed again is not to be kept alive.
    if (!list) call.arguments[argument] = c10::IValue();
    call.sources.push_back(std::move(source));
  }
  for (const auto& source : call.sources) {
    if (!source.list) continue;
    const c10::List<at::Tensor> given = call.arguments[source.argument].toTensorList();
    c10::List<at::Tensor> held;
    for (size_t i = 0; i < source.registers.size(); ++i) held.push_back(source.registers[i] == kHeld ? given.get(i) : at::Tensor());
    call.arguments[source.argument] = std::move(held);
  }
  for (const int64_t number : results) call.results.push_back(add(number));
  calls_.push_back(std::move(call));
}

void Program::recordFree(int64_t number) {
  const auto found = register_.find(number);
  if (found == register_.end()) return;
  // Inputs are the caller's.
  if (!calls_.empty() && static_cast<size_t>(found->second) >= inputs_) calls_.back().freed.push_back(found->second);
  register_.erase(found);
}

void Program::finish(const std::vector<int64_t>& outputs) {
  for (const int64_t number : outputs) {
    const auto found = register_.find(number);
    TORCH_CHECK(found != register_.end(), "a recorded step gives tensor ", number, ", which it did not make");
    outputs_.push_back(found->second);
  }
  register_.clear();
}

std::vector<at::Tensor> Program::run(const std::vector<at::Tensor>& inputs) {
  TORCH_CHECK(inputs.size() == inputs_, inputs.size(), " inputs of a recorded step: expected ", inputs_);
  const at::AutoDispatchBelowADInplaceOrView below;
  // Also when an operator throws: what was made so far goes.
  struct Clear {
    std::vector<at::Tensor>& registers;
    ~Clear() {
      for (auto& tensor : registers) tensor.reset();
    }
  } clear{registers_};
  std::copy(inputs.begin(), inputs.end(), registers_.begin());
  torch::jit::Stack stack;
  for (const Call& call : calls_) {
    stack = call.arguments;
    for (const auto& [argument, list, registers] : call.sources) {
      if (!list) {
        stack[argument] = registers_[registers[0]];
        continue;
      }
      const c10::List<at::Tensor> held = stack[argument].toTensorList();
      c10::List<at::Tensor> tensors;
      tensors.reserve(registers.size());
      for (size_t i = 0; i < registers.size(); ++i) tensors.push_back(registers[i] == kHeld ? held.get(i) : registers_[registers[i]]);
      stack[argument] = std::move(tensors);
    }
    call.op->run(stack);
    size_t at = 0;
    forEachTensor(stack, [&](const at::Tensor& tensor) { registers_[call.results[at++]] = tensor; });
    stack.clear();
    for (const int freed : call.freed) registers_[freed].reset();
  }
  std::vector<at::Tensor> outputs;
  for (const int output : outputs_) outputs.push_back(registers_[output]);
  return outputs;
}

}  // namespace detco
