// Operator calls recorded once and run again without JavaScript: a step of TensorFlow.js costs a call of Node, an entry on the tape and
// some garbage for each of a thousand operators, which on small networks is a quarter of the time.
//
// Tensors made while recording are registers. Those that were there before, such as variables, are held by reference and keep
// their place in memory; the ones that change from run to run are named as inputs.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/stack.h>

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "operators.h"
#include "schedule.h"

namespace detco {

class Program {
 public:
  // `inputs`: numbers of tensors, in the order in which `run` will get others of their shapes.
  explicit Program(const std::vector<int64_t>& inputs);

  // A call that was made, its arguments converted, and what it gave, with numbers (0: undefined).
  void record(const Operator& op, torch::jit::Stack arguments, const std::vector<TensorArgument>& tensors, const torch::jit::Stack& results,
              const std::vector<int64_t>& numbers);
  // A tensor that was freed after the last call.
  void recordFree(int64_t number);
  // Ends the recording; @param outputs numbers of the tensors that `run` is to give.
  void finish(const std::vector<int64_t>& outputs);

  // With a team, calls that do not depend on each other run side by side. Inputs are not written to.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, Team* team);

 private:
  static constexpr int kHeld = -1;
  // Where the tensors of one argument come from: a register, or kHeld for one that is in the argument already.
  struct Source {
    size_t argument;
    bool list;
    std::vector<int> registers;
  };
  struct Call {
    const Operator* op;
    torch::jit::Stack arguments;
    std::vector<Source> sources;
    std::vector<int> results;
    // Registers among its arguments and results, each once.
    std::vector<int> touched;
  };
  // `memory` and `value` are places of `schedule_`: several registers can lie in the same memory.
  struct Register {
    int memory;
    int value;
    // Calls that touch it, and whether it goes after the last of them.
    int uses;
    bool freed;
  };
  // Of one run, by register.
  struct Values {
    std::vector<at::Tensor> tensors;
    std::vector<std::atomic<int>> uses;
  };

  int add(int64_t number, int memory);
  int heldPlace(const at::Tensor& tensor);
  void runCall(const Call& call, Values& values) const;

  std::vector<Call> calls_;
  std::vector<Register> registers_;
  std::vector<int> outputs_;
  size_t inputs_;
  Schedule schedule_;
  int places_ = 0;
  // Places of memory that was there before, and of the tensors that lie in it.
  std::unordered_map<const c10::StorageImpl*, int> heldMemory_;
  std::unordered_map<const c10::TensorImpl*, int> heldTensors_;
  // While recording: the register of a tensor by its number.
  std::unordered_map<int64_t, int> register_;
};

}  // namespace detco
