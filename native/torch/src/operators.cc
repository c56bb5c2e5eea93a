#include "operators.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace detco {

namespace {

c10::OperatorHandle find(const std::string& name) {
  const auto dot = name.rfind('.');
  const bool overloaded = dot != std::string::npos;
  const std::string base = overloaded ? name.substr(0, dot) : name;
  const std::string overload = overloaded ? name.substr(dot + 1) : "";
  return c10::Dispatcher::singleton().findSchemaOrThrow(base.c_str(), overload.c_str());
}

at::Scalar scalarOf(const Napi::Value& value) {
  if (value.IsBoolean()) return at::Scalar(value.As<Napi::Boolean>().Value());
  const double number = value.As<Napi::Number>().DoubleValue();
  // An integer leaves an integer tensor one; 2^53 is where doubles stop being exact.
  if (std::floor(number) == number && std::abs(number) < 9007199254740992.0 && !(number == 0 && std::signbit(number)))
    return at::Scalar(static_cast<int64_t>(number));
  return at::Scalar(number);
}

}  // namespace

Operator::Operator(const std::string& name) : name_(name), handle_(find(name)) {
  for (const auto& argument : handle_.schema().arguments()) {
    c10::TypePtr type = argument.type();
    bool optional = false;
    if (const auto inner = type->cast<c10::OptionalType>()) {
      optional = true;
      type = inner->getElementType();
    }
    Kind kind;
    switch (type->kind()) {
      case c10::TypeKind::TensorType: kind = Kind::Tensor; break;
      case c10::TypeKind::IntType:
      case c10::TypeKind::SymIntType: kind = Kind::Int; break;
      case c10::TypeKind::FloatType: kind = Kind::Float; break;
      case c10::TypeKind::BoolType: kind = Kind::Bool; break;
      case c10::TypeKind::NumberType: kind = Kind::Scalar; break;
      case c10::TypeKind::StringType: kind = Kind::String; break;
      case c10::TypeKind::DeviceObjType: kind = Kind::Device; break;
      case c10::TypeKind::ListType: {
        const auto element = type->castRaw<c10::ListType>()->getElementType();
        switch (element->kind()) {
          case c10::TypeKind::TensorType: kind = Kind::TensorList; break;
          case c10::TypeKind::BoolType: kind = Kind::BoolList; break;
          case c10::TypeKind::IntType:
          case c10::TypeKind::SymIntType: kind = Kind::IntList; break;
          // Lists of optional tensors (aten::index): given as plain tensors.
          case c10::TypeKind::OptionalType: kind = Kind::TensorList; break;
          default: TORCH_CHECK(false, name, ": argument ", argument.name(), " of type ", type->str(), " cannot be given from JavaScript");
        }
        break;
      }
      default:
        // dtype, layout and memory_format are integers in a boxed call.
        TORCH_CHECK(false, name, ": argument ", argument.name(), " of type ", type->str(), " cannot be given from JavaScript");
    }
    arguments_.push_back({kind, optional, argument.default_value(), argument.name()});
  }
}

c10::IValue Operator::convert(const Argument& argument, const Napi::Value& value, const Table& table) const {
  if (value.IsUndefined() || value.IsNull()) {
    if (value.IsUndefined() && argument.fallback) return *argument.fallback;
    if (argument.optional) return {};
    TORCH_CHECK(argument.fallback, "argument ", argument.name, " is missing");
    return *argument.fallback;
  }
  const auto list = [&]() {
    TORCH_CHECK(value.IsArray(), "argument ", argument.name, ": expected an array");
    return value.As<Napi::Array>();
  };
  switch (argument.kind) {
    case Kind::Tensor: return table.get(value.As<Napi::Number>().Int64Value());
    case Kind::Int: return value.As<Napi::Number>().Int64Value();
    case Kind::Float: return value.As<Napi::Number>().DoubleValue();
    case Kind::Bool: return value.As<Napi::Boolean>().Value();
    case Kind::Scalar: return scalarOf(value);
    case Kind::String: return value.As<Napi::String>().Utf8Value();
    case Kind::Device: return c10::Device(value.As<Napi::String>().Utf8Value());
    case Kind::TensorList: {
      const auto array = list();
      c10::List<at::Tensor> tensors;
      tensors.reserve(array.Length());
      for (uint32_t i = 0; i < array.Length(); ++i) tensors.push_back(table.get(array.Get(i).As<Napi::Number>().Int64Value()));
      return tensors;
    }
    case Kind::IntList: {
      const auto array = list();
      c10::List<int64_t> numbers;
      numbers.reserve(array.Length());
      for (uint32_t i = 0; i < array.Length(); ++i) numbers.push_back(array.Get(i).As<Napi::Number>().Int64Value());
      return numbers;
    }
    case Kind::BoolList: {
      const auto array = list();
      c10::List<bool> flags;
      for (uint32_t i = 0; i < array.Length(); ++i) flags.push_back(array.Get(i).As<Napi::Boolean>().Value());
      return flags;
    }
  }
  TORCH_CHECK(false, "unreachable");
}

torch::jit::Stack Operator::arguments(const Napi::CallbackInfo& info, size_t first, const Table& table) const {
  TORCH_CHECK(info.Length() <= first + arguments_.size(), info.Length() - first, " arguments: expected at most ", arguments_.size());
  torch::jit::Stack stack;
  stack.reserve(arguments_.size());
  for (size_t i = 0; i < arguments_.size(); ++i) stack.push_back(convert(arguments_[i], info[first + i], table));
  return stack;
}

std::vector<TensorArgument> Operator::tensors(const Napi::CallbackInfo& info, size_t first) const {
  std::vector<TensorArgument> found;
  for (size_t i = 0; i < arguments_.size() && first + i < info.Length(); ++i) {
    const Napi::Value value = info[first + i];
    if (arguments_[i].kind == Kind::Tensor && value.IsNumber()) {
      found.push_back({i, false, {value.As<Napi::Number>().Int64Value()}});
    } else if (arguments_[i].kind == Kind::TensorList && value.IsArray()) {
      const auto array = value.As<Napi::Array>();
      TensorArgument list{i, true, {}};
      for (uint32_t j = 0; j < array.Length(); ++j) list.numbers.push_back(array.Get(j).As<Napi::Number>().Int64Value());
      found.push_back(std::move(list));
    }
  }
  return found;
}

bool Operator::writes(size_t argument) const {
  const auto* alias = handle_.schema().arguments()[argument].alias_info();
  if (alias == nullptr) return false;
  // Of a list, its elements say.
  const auto& elements = alias->containedTypes();
  return alias->isWrite() || std::any_of(elements.begin(), elements.end(), [](const c10::AliasInfo& element) { return element.isWrite(); });
}

void Operator::run(torch::jit::Stack& stack) const {
  // Nothing here is differentiated by LibTorch: TensorFlow.js has its own tape.
  const at::AutoDispatchBelowADInplaceOrView below;
  handle_.callBoxed(&stack);
}

// " (on float32 [8, 3], int32 [])": the tensors that the operator was given.
std::string Operator::describe(const Napi::CallbackInfo& info, size_t first, const Table& table) const {
  std::ostringstream text;
  const auto add = [&](const Napi::Value& value) {
    if (!value.IsNumber()) return;
    text << (text.tellp() == 0 ? " (on " : ", ");
    try {
      const at::Tensor& tensor = table.get(value.As<Napi::Number>().Int64Value());
      text << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
    } catch (const c10::Error&) {
      text << "a tensor disposed of";
    }
  };
  for (size_t i = 0; i < arguments_.size() && first + i < info.Length(); ++i) {
    const Napi::Value value = info[first + i];
    if (arguments_[i].kind == Kind::Tensor) add(value);
    if (arguments_[i].kind != Kind::TensorList || !value.IsArray()) continue;
    const auto array = value.As<Napi::Array>();
    for (uint32_t j = 0; j < array.Length() && j < 8; ++j) add(array.Get(j));
  }
  return text.tellp() == 0 ? "" : text.str() + ")";
}

}  // namespace detco
