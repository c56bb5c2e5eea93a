// Operator calls recorded once and run again without JavaScript: a step of TensorFlow.js costs a call of Node, an entry on the tape and
// some garbage for each of a thousand operators, which on small networks is a quarter of the time.
//
// Tensors made while recording are registers. Those that were there before, such as variables, are held by reference and keep
// their place in memory; the ones that change from run to run are named as inputs.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "operators.h"

namespace detco {

class Program {
 public:
  // `inputs`: numbers of tensors, in the order in which `run` will get others of their shapes.
  explicit Program(const std::vector<int64_t>& inputs);

  // A call that was made, its arguments converted, and the numbers of what it gave (0: undefined).
  void record(const Operator& op, torch::jit::Stack arguments, const std::vector<TensorArgument>& tensors,
              const std::vector<int64_t>& results);
  // A tensor that was freed after the last call.
  void recordFree(int64_t number);
  // Ends the recording; @param outputs numbers of the tensors that `run` is to give.
  void finish(const std::vector<int64_t>& outputs);

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);

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
    std::vector<int> freed;
  };

  int add(int64_t number);

  std::vector<Call> calls_;
  std::vector<at::Tensor> registers_;
  std::vector<int> outputs_;
  size_t inputs_;
  // While recording: the register of a tensor by its number.
  std::unordered_map<int64_t, int> register_;
};

}  // namespace detco
