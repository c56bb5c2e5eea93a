#include "program.h"

#include <napi.h>

#include <algorithm>

namespace detco {

Program::Program(const std::vector<int64_t>& inputs) : inputs_(inputs.size()) {
  for (const int64_t number : inputs) add(number, places_++);
}

int Program::add(int64_t number, int memory) {
  const int index = static_cast<int>(registers_.size());
  registers_.push_back({memory, places_++, 0, false});
  if (number != 0) register_[number] = index;
  return index;
}

int Program::heldPlace(const at::Tensor& tensor) {
  const auto* storage = tensor.storage().unsafeGetStorageImpl();
  const auto tensors = heldTensors_.find(tensor.unsafeGetTensorImpl());
  // A call can give a tensor other memory.
  const int place = tensors != heldTensors_.end() ? tensors->second : heldMemory_.try_emplace(storage, places_).first->second;
  if (place == places_) ++places_;
  heldTensors_[tensor.unsafeGetTensorImpl()] = place;
  heldMemory_.try_emplace(storage, place);
  return place;
}

void Program::record(const Operator& op, torch::jit::Stack arguments, const std::vector<TensorArgument>& tensors,
                     const torch::jit::Stack& results, const std::vector<int64_t>& numbers) {
  Call call{&op, std::move(arguments), {}, {}, {}};
  std::vector<int> reads, writes;
  std::unordered_map<const c10::StorageImpl*, int> memory;
  for (const auto& [argument, list, numbers] : tensors) {
    Source source{argument, list, {}};
    bool fresh = false;
    const c10::List<at::Tensor> given = list ? call.arguments[argument].toTensorList() : c10::List<at::Tensor>{call.arguments[argument].toTensor()};
    for (size_t i = 0; i < numbers.size(); ++i) {
      const at::Tensor tensor = given.get(i);
      const auto found = register_.find(numbers[i]);
      const bool held = found == register_.end();
      source.registers.push_back(held ? kHeld : found->second);
      const int place = held ? heldPlace(tensor) : registers_[found->second].memory;
      memory[tensor.storage().unsafeGetStorageImpl()] = place;
      (op.writes(argument) ? writes : reads).push_back(place);
      if (held) continue;
      fresh = true;
      reads.push_back(registers_[found->second].value);
      call.touched.push_back(found->second);
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
  forEachTensor(results, [&](const at::Tensor& result) {
    // A view lies in the memory of an argument.
    int place = -1;
    if (result.defined()) {
      const auto [found, fresh] = memory.try_emplace(result.storage().unsafeGetStorageImpl(), places_);
      if (fresh) ++places_;
      place = found->second;
    }
    const int made = add(numbers[call.results.size()], place);
    writes.push_back(registers_[made].value);
    call.results.push_back(made);
    call.touched.push_back(made);
  });
  std::sort(call.touched.begin(), call.touched.end());
  call.touched.erase(std::unique(call.touched.begin(), call.touched.end()), call.touched.end());
  for (const int touched : call.touched) ++registers_[touched].uses;
  schedule_.add(reads, writes);
  calls_.push_back(std::move(call));
}

void Program::recordFree(int64_t number) {
  const auto found = register_.find(number);
  if (found == register_.end()) return;
  // Inputs are the caller's.
  registers_[found->second].freed = static_cast<size_t>(found->second) >= inputs_;
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

std::vector<at::Tensor> Program::run(const std::vector<at::Tensor>& inputs, Team* team) {
  TORCH_CHECK(inputs.size() == inputs_, inputs.size(), " inputs of a recorded step: expected ", inputs_);
  Values values{std::vector<at::Tensor>(registers_.size()), std::vector<std::atomic<int>>(registers_.size())};
  for (size_t i = 0; i < inputs.size(); ++i) {
    // What is written to in the step, by others, is read as it is now.
    const bool shared = heldMemory_.count(inputs[i].storage().unsafeGetStorageImpl()) > 0;
    values.tensors[i] = shared ? inputs[i].clone() : inputs[i];
  }
  for (size_t i = 0; i < registers_.size(); ++i) values.uses[i] = registers_[i].uses;
  if (team) {
    schedule_.run(*team, [&](size_t call) { runCall(calls_[call], values); });
  } else {
    for (const Call& call : calls_) runCall(call, values);
  }
  std::vector<at::Tensor> outputs;
  for (const int output : outputs_) outputs.push_back(values.tensors[output]);
  return outputs;
}

void Program::runCall(const Call& call, Values& values) const {
  torch::jit::Stack stack = call.arguments;
  for (const auto& [argument, list, registers] : call.sources) {
    if (!list) {
      stack[argument] = values.tensors[registers[0]];
      continue;
    }
    const c10::List<at::Tensor> held = stack[argument].toTensorList();
    c10::List<at::Tensor> tensors;
    tensors.reserve(registers.size());
    for (size_t i = 0; i < registers.size(); ++i) tensors.push_back(registers[i] == kHeld ? held.get(i) : values.tensors[registers[i]]);
    stack[argument] = std::move(tensors);
  }
  call.op->run(stack);
  size_t at = 0;
  forEachTensor(stack, [&](const at::Tensor& tensor) { values.tensors[call.results[at++]] = tensor; });
  stack.clear();
  for (const int touched : call.touched) {
    if (--values.uses[touched] == 0 && registers_[touched].freed) values.tensors[touched].reset();
  }
}

}  // namespace detco
