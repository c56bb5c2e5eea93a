// The Node-API face of LibTorch: tensors by number, any operator by name, errors as JavaScript errors.
//
// Results go through `mail`, an Int32Array that both sides see, so that a call makes no JavaScript objects: for each tensor its number,
// scalar type, rank and sizes.
#include <ATen/Parallel.h>
#include <ATen/ATen.h>
#include <napi.h>
#include <torch/version.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocator.h"
#include "blas.h"
#include "device.h"
#include "operators.h"
#include "program.h"
#include "ranks.h"
#include "table.h"

namespace detco {
namespace {

constexpr size_t kMail = 4096;

// Runs `body` and turns what LibTorch throws into JavaScript errors.
template <typename Body>
auto guarded(const Napi::Env& env, Body&& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Napi::Error::New(env, error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

std::vector<int64_t> integers(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<int64_t> numbers(array.Length());
  for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = array.Get(i).As<Napi::Number>().Int64Value();
  return numbers;
}

// The bytes of a typed array, which may lie over shared memory.
std::pair<uint8_t*, size_t> bytesOf(const Napi::Value& value) {
  void* data = nullptr;
  size_t length = 0;
  size_t offset = 0;
  napi_typedarray_type type;
  napi_value buffer;
  TORCH_CHECK(napi_get_typedarray_info(value.Env(), value, &type, &length, &data, &buffer, &offset) == napi_ok,
              "expected a typed array");
  static constexpr size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  return {static_cast<uint8_t*>(data), length * sizes[type]};
}

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) {
    auto buffer = Napi::ArrayBuffer::New(env, kMail * sizeof(int32_t));
    mail_ = static_cast<int32_t*>(buffer.Data());
    DefineAddon(exports, {
                             InstanceValue("mail", Napi::Int32Array::New(env, kMail, buffer, 0)),
                             InstanceMethod<&Addon::operatorNumber>("operator"),
                             InstanceMethod<&Addon::call>("call"),
                             InstanceMethod<&Addon::upload>("upload"),
                             InstanceMethod<&Addon::openJpegDecoder>("openJpegDecoder"),
                             InstanceMethod<&Addon::decodeJpegs>("decodeJpegs"),
                             InstanceMethod<&Addon::read>("read"),
                             InstanceMethod<&Addon::readLater>("readLater"),
                             InstanceMethod<&Addon::free>("free"),
                             InstanceMethod<&Addon::clear>("clear"),
                             InstanceMethod<&Addon::info>("info"),
                             InstanceMethod<&Addon::configure>("configure"),
                             InstanceMethod<&Addon::memory>("memory"),
                             InstanceMethod<&Addon::synchronize>("synchronize"),
                             InstanceMethod<&Addon::limitThreads>("limitThreads"),
                             InstanceMethod<&Addon::recordBegin>("recordBegin"),
                             InstanceMethod<&Addon::recordEnd>("recordEnd"),
                             InstanceMethod<&Addon::runProgram>("runProgram"),
                             InstanceMethod<&Addon::releaseProgram>("releaseProgram"),
                             InstanceMethod<&Addon::captureBegin>("captureBegin"),
                             InstanceMethod<&Addon::captureEnd>("captureEnd"),
                             InstanceMethod<&Addon::replay>("replay"),
                             InstanceMethod<&Addon::releaseGraph>("releaseGraph"),
                             InstanceMethod<&Addon::openStore>("openStore"),
                             InstanceMethod<&Addon::setInStore>("setInStore"),
                             InstanceMethod<&Addon::getFromStore>("getFromStore"),
                             InstanceMethod<&Addon::countInStore>("countInStore"),
                             InstanceMethod<&Addon::beatInStore>("beatInStore"),
                             InstanceMethod<&Addon::joinRanks>("joinRanks"),
                             InstanceMethod<&Addon::leaveRanks>("leaveRanks"),
                             InstanceMethod<&Addon::closeStore>("closeStore"),
                             InstanceMethod<&Addon::rankTraffic>("rankTraffic"),
                         });
  }

 private:
  // (name) -> number, for `call`.
  Napi::Value operatorNumber(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      operators_.push_back(std::make_unique<Operator>(info[0].As<Napi::String>().Utf8Value()));
      return Napi::Number::New(info.Env(), static_cast<double>(operators_.size() - 1));
    });
  }

  // (operator, ...arguments) -> how many tensors are in the mail.
  Napi::Value call(const Napi::CallbackInfo& info) {
    const Operator& op = *operators_.at(info[0].As<Napi::Number>().Uint32Value());
    return op.explained(info, 1, table_, [&]() {
      auto stack = op.arguments(info, 1, table_);
      const auto arguments = recording_ ? stack : torch::jit::Stack();
      op.run(stack);
      std::vector<int64_t> numbers;
      letter_ = 0;
      forEachTensor(stack, [&](const at::Tensor& tensor) { numbers.push_back(post(tensor)); });
      if (recording_) recording_->record(op, arguments, op.tensors(info, 1), stack, numbers);
      return Napi::Number::New(info.Env(), static_cast<double>(numbers.size()));
    });
  }

  // (whether): calls run on as many threads as each has in a program, where it shares them with others.
  void limitThreads(const Napi::CallbackInfo& info) {
    if (team_) setThreads(info[0].As<Napi::Boolean>().Value() ? team_->threadsEach() : threads_);
  }

  // (numbers of inputs): what is called from here to `recordEnd` is run, and recorded too.
  void recordBegin(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      TORCH_CHECK(!recording_, "a step is recorded already");
      recording_ = std::make_unique<Program>(integers(info[0]));
    });
  }

  // (numbers of outputs) -> the program's number; without outputs the recording is dropped.
  Napi::Value recordEnd(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      auto program = std::move(recording_);
      // After an error, which may have ended the recording already.
      if (!info[0].IsArray()) return info.Env().Undefined();
      TORCH_CHECK(program, "no step is recorded");
      program->finish(integers(info[0]));
      programs_.push_back(std::move(program));
      return Napi::Number::New(info.Env(), static_cast<double>(programs_.size() - 1));
    });
  }

  // (program): what it holds is let go.
  void releaseProgram(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { programs_.at(info[0].As<Napi::Number>().Uint32Value()).reset(); });
  }

  // (program, numbers of inputs): outputs are in the mail.
  Napi::Value runProgram(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      std::vector<at::Tensor> inputs;
      for (const int64_t number : integers(info[1])) inputs.push_back(table_.get(number));
      const auto outputs = programs_.at(info[0].As<Napi::Number>().Uint32Value())->run(inputs, team_.get());
      letter_ = 0;
      for (const auto& output : outputs) post(output);
      return Napi::Number::New(info.Env(), static_cast<double>(outputs.size()));
    });
  }

  // (typed array, scalar type, shape): a tensor on the device, in the mail. The array may change once this returns.
  void upload(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      const auto [data, bytes] = bytesOf(info[0]);
      const auto type = static_cast<at::ScalarType>(info[1].As<Napi::Number>().Int32Value());
      const auto shape = integers(info[2]);
      const auto wanted = static_cast<size_t>(c10::multiply_integers(shape)) * c10::elementSize(type);
      TORCH_CHECK(bytes == wanted, "upload of ", bytes, " bytes as ", c10::toString(type), ' ', at::IntArrayRef(shape), ": expected ",
                  wanted);
      letter_ = 0;
      if (device_.is_cpu()) {
        at::Tensor tensor = at::empty(shape, at::TensorOptions(type));
        if (bytes > 0) std::memcpy(tensor.data_ptr(), data, bytes);
        post(std::move(tensor));
      } else {
        post(uploadAsync(data, shape, type, device_));
      }
    });
  }

  // (path of nvJPEG's library): for `decodeJpegs` on the device.
  void openJpegDecoder(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      // Never freed: nvJPEG crashes where the process has taken CUDA down before it.
      jpegs_ = new JpegDecoder(info[0].As<Napi::String>().Utf8Value(), device_);
    });
  }

  // (typed arrays, widths, heights) -> ordinals of those that the decoder refused; the pixels of all, back to back, are in the mail.
  Napi::Value decodeJpegs(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      TORCH_CHECK(jpegs_ != nullptr, "decodeJpegs before openJpegDecoder");
      const auto files = info[0].As<Napi::Array>();
      const auto widths = integers(info[1]);
      const auto heights = integers(info[2]);
      std::vector<Jpeg> jpegs;
      for (uint32_t i = 0; i < files.Length(); ++i) {
        const auto [data, bytes] = bytesOf(files.Get(i));
        jpegs.push_back({data, bytes, widths.at(i), heights.at(i)});
      }
      std::vector<int64_t> refused;
      letter_ = 0;
      post(jpegs_->decode(jpegs, refused));
      auto ordinals = Napi::Array::New(info.Env(), refused.size());
      for (uint32_t i = 0; i < refused.size(); ++i) ordinals.Set(i, static_cast<double>(refused[i]));
      return ordinals;
    });
  }

  // (number, typed array): copies a tensor of the array's size and type out; waits for the device.
  void read(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      const at::Tensor tensor = table_.get(info[0].As<Napi::Number>().Int64Value()).to(at::kCPU).contiguous();
      const auto [data, bytes] = bytesOf(info[1]);
      TORCH_CHECK(bytes == tensor.nbytes(), "read of ", tensor.nbytes(), " bytes into ", bytes);
      if (bytes > 0) std::memcpy(data, tensor.data_ptr(), bytes);
    });
  }

  // Waits on another thread for the copy of a tensor.
  class Reading : public Napi::AsyncWorker {
   public:
    Reading(const Napi::Env& env, const at::Tensor& tensor, const Napi::Value& target)
        : AsyncWorker(env),
          deferred(env),
          pending_(std::make_unique<PendingRead>(readAsync(tensor))),
          target_(Napi::Persistent(target.As<Napi::Object>())) {}
    void Execute() override { pending_->wait(); }
    void OnOK() override {
      const auto [data, bytes] = bytesOf(target_.Value());
      if (bytes > 0) std::memcpy(data, pending_->host.data_ptr(), bytes);
      deferred.Resolve(target_.Value());
    }
    void OnError(const Napi::Error& error) override {
      // A device that has failed can take nothing back: freeing pinned memory would throw where nothing may, and end the process.
      pending_.release();
      deferred.Reject(error.Value());
    }
    Napi::Promise::Deferred deferred;

   private:
    std::unique_ptr<PendingRead> pending_;
    Napi::ObjectReference target_;
  };

  // (number, typed array) -> promise of the array: `read` without holding up the thread.
  Napi::Value readLater(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const at::Tensor& tensor = table_.get(info[0].As<Napi::Number>().Int64Value());
      const auto bytes = bytesOf(info[1]).second;
      TORCH_CHECK(bytes == tensor.nbytes(), "read of ", tensor.nbytes(), " bytes into ", bytes);
      auto* reading = new Reading(info.Env(), tensor, info[1]);
      const auto promise = reading->deferred.Promise();
      reading->Queue();
      return promise;
    });
  }

  void free(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      const int64_t number = info[0].As<Napi::Number>().Int64Value();
      table_.free(number);
      if (recording_) recording_->recordFree(number);
    });
  }

  // Frees all tensors and graphs, and the memory that was kept for reuse.
  void clear(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      recording_.reset();
      programs_.clear();
      graphs_.clear();
      table_.clear();
      if (device_.is_cpu()) releaseCached();
      else emptyCache();
    });
  }

  Napi::Value info(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() {
      auto result = Napi::Object::New(env);
      result.Set("version", TORCH_VERSION);
      result.Set("threads", at::get_num_threads());
      if (const auto core = openblas<const char*()>("openblas_get_corename")) result.Set("openblasCore", core());
      const auto devices = cudaDevices();
      auto list = Napi::Array::New(env, devices.size());
      for (size_t i = 0; i < devices.size(); ++i) {
        auto entry = Napi::Object::New(env);
        entry.Set("name", devices[i].name);
        entry.Set("capability", devices[i].capability);
        entry.Set("totalBytes", static_cast<double>(devices[i].totalBytes));
        list.Set(static_cast<uint32_t>(i), entry);
      }
      result.Set("cudaDevices", list);
      if (devices.empty()) result.Set("cudaReason", cudaUnavailableReason());
      const auto transports = rankTransports();
      auto names = Napi::Array::New(env, transports.size());
      for (size_t i = 0; i < transports.size(); ++i) names.Set(static_cast<uint32_t>(i), transports[i]);
      result.Set("rankTransports", names);
      return result;
    });
  }

  // ({ device: 'cpu' | 'cuda:0', threads?, tf32 })
  void configure(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      const auto options = info[0].As<Napi::Object>();
      device_ = at::Device(options.Get("device").As<Napi::String>().Utf8Value());
      const auto threads = options.Get("threads");
      if (threads.IsNumber()) at::set_num_threads(threads.As<Napi::Number>().Int32Value());
      team_.reset();
      if (device_.is_cpu()) {
        installCachingAllocator();
        useOneBlasThread();
        threads_ = at::get_num_threads();
        setThreads(threads_);
#ifdef _OPENMP
        // Without it members could not be kept to their share.
        if (threads_ > 1) team_ = std::make_unique<Team>(threads_);
#endif
      } else {
        startDevice(device_, options.Get("tf32").ToBoolean().Value());
      }
    });
  }

  Napi::Value memory(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      auto result = Napi::Object::New(info.Env());
      result.Set("tensors", static_cast<double>(table_.live()));
      if (device_.is_cpu()) {
        result.Set("cachedBytes", static_cast<double>(cachedBytes()));
      } else {
        const auto stats = deviceMemory();
        result.Set("allocatedBytes", static_cast<double>(stats.allocatedBytes));
        result.Set("reservedBytes", static_cast<double>(stats.reservedBytes));
        result.Set("peakBytes", static_cast<double>(stats.peakBytes));
      }
      return result;
    });
  }

  void synchronize(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      if (!device_.is_cpu()) detco::synchronize();
    });
  }

  // What is called from here to `captureEnd` is recorded, not run.
  void captureBegin(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() {
      graphs_.push_back(std::make_unique<Graph>());
      graphs_.back()->begin();
    });
  }

  Napi::Value captureEnd(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      graphs_.back()->end();
      return Napi::Number::New(info.Env(), static_cast<double>(graphs_.size() - 1));
    });
  }

  void replay(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { graphs_.at(info[0].As<Napi::Number>().Uint32Value())->replay(); });
  }

  void releaseGraph(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { graphs_.at(info[0].As<Napi::Number>().Uint32Value()).reset(); });
  }

  // Work that waits for other processes, on another thread.
  class Waiting : public Napi::AsyncWorker {
   public:
    Waiting(const Napi::Env& env, std::function<void()> work) : AsyncWorker(env), deferred(env), work_(std::move(work)) {}
    void Execute() override {
      try {
        work_();
      } catch (const c10::Error& error) {
        SetError(error.what_without_backtrace());
      } catch (const std::exception& error) {
        SetError(error.what());
      }
    }
    void OnOK() override { deferred.Resolve(Env().Undefined()); }
    void OnError(const Napi::Error& error) override { deferred.Reject(error.Value()); }
    Napi::Promise::Deferred deferred;

   private:
    std::function<void()> work_;
  };

  Napi::Value wait(const Napi::Env& env, std::function<void()> work) {
    auto* waiting = new Waiting(env, std::move(work));
    const auto promise = waiting->deferred.Promise();
    waiting->Queue();
    return promise;
  }

  static std::string text(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }
  static std::chrono::milliseconds milliseconds(const Napi::Value& value) {
    return std::chrono::milliseconds(value.As<Napi::Number>().Int64Value());
  }

  // (host, port, whether to serve it, milliseconds) -> promise
  Napi::Value openStore(const Napi::CallbackInfo& info) {
    const auto port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value());
    return wait(info.Env(), [host = text(info[0]), port, serve = info[2].ToBoolean().Value(), timeout = milliseconds(info[3])] {
      detco::openStore(host, port, serve, timeout);
    });
  }

  void setInStore(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { detco::setInStore(text(info[0]), text(info[1])); });
  }

  // (key) -> its value, or undefined
  Napi::Value getFromStore(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      std::string value;
      if (!detco::getFromStore(text(info[0]), value)) return info.Env().Undefined();
      return Napi::String::New(info.Env(), value);
    });
  }

  Napi::Value countInStore(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() { return Napi::Number::New(info.Env(), static_cast<double>(detco::countInStore(text(info[0])))); });
  }

  // (key, milliseconds)
  void beatInStore(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { detco::beatInStore(text(info[0]), milliseconds(info[1])); });
  }

  // (rank, size, prefix of keys, milliseconds) -> promise; on the device of `configure`.
  Napi::Value joinRanks(const Napi::CallbackInfo& info) {
    const auto rank = info[0].As<Napi::Number>().Int32Value();
    const auto size = info[1].As<Napi::Number>().Int32Value();
    return wait(info.Env(), [rank, size, prefix = text(info[2]), timeout = milliseconds(info[3]), device = device_] {
      detco::joinRanks(rank, size, prefix, device, timeout);
    });
  }

  void leaveRanks(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { detco::leaveRanks(); });
  }

  void closeStore(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&]() { detco::closeStore(); });
  }

  Napi::Value rankTraffic(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() {
      const auto traffic = detco::rankTraffic();
      auto result = Napi::Object::New(info.Env());
      result.Set("calls", static_cast<double>(traffic.calls));
      result.Set("bytes", static_cast<double>(traffic.bytes));
      return result;
    });
  }

  // Puts a tensor into the table and what it is into the mail; gives its number.
  int64_t post(at::Tensor tensor) {
    const bool defined = tensor.defined();
    TORCH_CHECK(letter_ + 3 + (defined ? tensor.dim() : 0) <= static_cast<int64_t>(kMail), "more results than the mail holds");
    int32_t* at = mail_ + letter_;
    if (!defined) {
      at[0] = at[1] = at[2] = 0;
      letter_ += 3;
      return 0;
    }
    at[1] = static_cast<int32_t>(tensor.scalar_type());
    at[2] = static_cast<int32_t>(tensor.dim());
    for (int64_t d = 0; d < tensor.dim(); ++d) at[3 + d] = static_cast<int32_t>(tensor.size(d));
    letter_ += 3 + tensor.dim();
    const int64_t number = table_.add(std::move(tensor));
    at[0] = static_cast<int32_t>(number);
    return number;
  }

  Table table_;
  std::vector<std::unique_ptr<Operator>> operators_;
  std::unique_ptr<Program> recording_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::vector<std::unique_ptr<Graph>> graphs_;
  // For programs on a CPU.
  std::unique_ptr<Team> team_;
  int threads_ = 1;
  JpegDecoder* jpegs_ = nullptr;
  at::Device device_ = at::kCPU;
  int32_t* mail_;
  int64_t letter_ = 0;
};

}  // namespace

NODE_API_ADDON(Addon)

}  // namespace detco
