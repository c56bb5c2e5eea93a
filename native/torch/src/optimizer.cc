// SGD and the momentum update of the key encoder over all parameters at once, and the queue's enqueue, CPU.
#include "lanes.h"
#include "lists.h"

#include <torch/library.h>

namespace detco {
namespace {

void checkList(const char* name, const char* what, at::TensorList tensors, at::TensorList like) {
  TORCH_CHECK(
      tensors.size() == like.size(), name, ": ", tensors.size(), " ", what, " for ", like.size(), " tensors: expected as many");
  for (size_t i = 0; i < tensors.size(); ++i) {
    TORCH_CHECK(
        tensors[i].sizes() == like[i].sizes(), name, ": ", what, " ", i, " of shape ", tensors[i].sizes(),
        ": expected ", like[i].sizes());
  }
}

void checkFloat(const char* name, const char* what, at::TensorList tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    TORCH_CHECK(
        tensors[i].scalar_type() == at::kFloat, name, ": ", what, " ", i, " of shape ", tensors[i].sizes(), " and type ",
        tensors[i].scalar_type(), ": expected float32");
  }
}

// An update of a tensor in place by another one.
struct Update {
  at::Tensor target;  // dense; the tensor itself, or a copy to be written back
  at::Tensor source;  // with the same layout
};

at::Tensor dense(const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
}

void writeBack(at::TensorList tensors, const std::vector<Update>& updates) {
  for (size_t i = 0; i < updates.size(); ++i) {
    if (!updates[i].target.is_same(tensors[i])) tensors[i].copy_(updates[i].target);
  }
}

template <typename G>
void sgdRange(
    float* __restrict p, const G* __restrict g, float* __restrict v, int64_t begin, int64_t end, float rate,
    float momentum, float decay) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float velocity = momentum * v[i] + (load(g + i) + decay * p[i]);
    v[i] = velocity;
    p[i] -= rate * velocity;
  }
}

void sgd(
    at::TensorList parameters, at::TensorList gradients, at::TensorList velocities, const at::Tensor& learningRate,
    double momentum, double decay) {
  const char* name = "sgd_";
  checkList(name, "gradients", gradients, parameters);
  checkList(name, "velocities", velocities, parameters);
  checkFloat(name, "parameters", parameters);
  checkFloat(name, "velocities", velocities);
  TORCH_CHECK(
      learningRate.numel() == 1 && learningRate.scalar_type() == at::kFloat, name, ": learning rate of shape ",
      learningRate.sizes(), " and type ", learningRate.scalar_type(), ": expected a float32 scalar");
  const float rate = *dataOf<float>(learningRate);

  std::vector<Update> updates;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& g = gradients[i];
    const at::Tensor& v = velocities[i];
    TORCH_CHECK(
        isFloating(g), name, ": gradients ", i, " of shape ", g.sizes(), " and type ", g.scalar_type(),
        ": expected float32 or bfloat16");
    const at::Tensor parameter = dense(parameters[i]);
    // Once, not each step: the velocity lies as its parameter does from here on.
    if (!sameLayout(v, parameter)) v.set_(copyWithLayout(v, parameter));
    updates.push_back({parameter, sameLayout(g, parameter) ? g : copyWithLayout(g, parameter)});
  }
  forEachElement(parameters, [&](size_t i, int64_t begin, int64_t end) {
    const Update& update = updates[i];
    withElement(update.source, [&](auto* element) {
      using G = std::remove_pointer_t<decltype(element)>;
      sgdRange(
          dataOf<float>(update.target), dataOf<G>(update.source), dataOf<float>(velocities[i]), begin, end, rate,
          static_cast<float>(momentum), static_cast<float>(decay));
    });
  });
  writeBack(parameters, updates);
}

// As torch.lerp: exact at both ends.
void lerpRange(float* __restrict target, const float* __restrict source, int64_t begin, int64_t end, float weight) {
  if (weight < 0.5f) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) target[i] += weight * (source[i] - target[i]);
  } else {
    const float rest = 1.0f - weight;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) target[i] = source[i] - (source[i] - target[i]) * rest;
  }
}

void lerp(at::TensorList targets, at::TensorList sources, double weight) {
  const char* name = "lerp_";
  checkList(name, "sources", sources, targets);
  checkFloat(name, "targets", targets);
  checkFloat(name, "sources", sources);
  std::vector<Update> updates;
  for (size_t i = 0; i < targets.size(); ++i) {
    const at::Tensor& target = targets[i];
    const at::Tensor& source = sources[i];
    if (sameLayout(target, source) && target.is_non_overlapping_and_dense()) {
      updates.push_back({target, source});
    } else if (source.is_non_overlapping_and_dense()) {
      // The key encoder follows the query encoder every step: it takes over the layout, once.
      target.set_(copyWithLayout(target, source));
      updates.push_back({target, source});
    } else {
      const at::Tensor into = dense(target);
      updates.push_back({into, copyWithLayout(source, into)});
    }
  }
  forEachElement(targets, [&](size_t i, int64_t begin, int64_t end) {
    lerpRange(
        dataOf<float>(updates[i].target), dataOf<float>(updates[i].source), begin, end, static_cast<float>(weight));
  });
  writeBack(targets, updates);
}

void enqueue(const at::Tensor& queue, const at::Tensor& keys, const at::Tensor& pointer) {
  TORCH_CHECK(
      queue.dim() == 2 && keys.dim() == 2 && queue.size(1) == keys.size(1), "enqueue_: keys of shape ", keys.sizes(),
      ": expected [n, D] for a queue [K, D] of shape ", queue.sizes());
  TORCH_CHECK(
      pointer.numel() == 1 && at::isIntegralType(pointer.scalar_type(), false), "enqueue_: pointer of shape ",
      pointer.sizes(), " and type ", pointer.scalar_type(), ": expected an integer scalar");
  const int64_t first = pointer.item<int64_t>();
  TORCH_CHECK(
      first >= 0 && first + keys.size(0) <= queue.size(0), "enqueue_: keys of shape ", keys.sizes(), " at ", first,
      " of a queue of shape ", queue.sizes(), ": they do not fit; expected a pointer from 0 to ",
      queue.size(0) - keys.size(0));
  queue.narrow(0, first, keys.size(0)).copy_(keys);
}

// Lists without tensors name no device, so the dispatcher asks for a kernel of none; a device without a kernel of its
// own comes here too.
void checkEmpty(at::TensorList tensors) {
  TORCH_CHECK(
      tensors.empty(), "no kernel for device ", tensors[0].device(), " of a tensor of shape ", tensors[0].sizes(),
      ": expected CPU tensors, or an addon built with this device's kernels");
}

void sgdOfNone(at::TensorList parameters, at::TensorList, at::TensorList, const at::Tensor&, double, double) {
  checkEmpty(parameters);
}

void lerpOfNone(at::TensorList targets, at::TensorList, double) { checkEmpty(targets); }

}  // namespace
}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) {
  m.impl("sgd_", TORCH_FN(detco::sgd));
  m.impl("lerp_", TORCH_FN(detco::lerp));
  m.impl("enqueue_", TORCH_FN(detco::enqueue));
}

TORCH_LIBRARY_IMPL(detco, CompositeExplicitAutograd, m) {
  m.impl("sgd_", TORCH_FN(detco::sgdOfNone));
  m.impl("lerp_", TORCH_FN(detco::lerpOfNone));
}
