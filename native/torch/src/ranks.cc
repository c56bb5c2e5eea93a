#include "ranks.h"

#include <torch/library.h>
#include <torch/version.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#define DETCO_C10D
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#endif
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#elif defined(DETCO_C10D)
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif

namespace detco {

std::vector<std::string> rankTransports() {
  std::vector<std::string> names;
#ifdef USE_C10D_GLOO
  names.emplace_back("gloo");
#endif
#ifdef USE_C10D_NCCL
  names.emplace_back("nccl");
#endif
  return names;
}

#ifdef DETCO_C10D

namespace {

#if TORCH_VERSION_MAJOR >= 2
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif

constexpr const char* kBroken = "ranks lost each other: ";
constexpr const char* kNoAnswer = "rank 0 does not answer";
// As in src/engine/torch/company.ts.
constexpr std::chrono::seconds kSilent{15};
constexpr std::chrono::milliseconds kBetweenLooks{1000};

// Calls `body` every so often on a thread of its own, until it throws or is stopped.
class Pulse {
 public:
  Pulse(std::chrono::milliseconds every, std::function<void()> body)
      : thread_([this, every, body = std::move(body)] {
          std::unique_lock<std::mutex> lock(mutex_);
          while (!changed_.wait_for(lock, every, [this] { return stopped_; })) {
            try {
              body();
            } catch (const std::exception&) {
              // The store went with rank 0, which whoever asks it next will say.
              return;
            }
          }
        }) {}
  ~Pulse() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

// Asks on a thread of its own: a machine that is lost leaves a question without an answer, and a store waits for it without end.
class Line {
 public:
  Line() : thread_([this] { answer(); }) {}
  ~Line() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // What `question` refers to has to outlive an answer that comes too late.
  template <typename Question>
  auto ask(Question question) -> decltype(question()) {
    auto task = std::make_shared<std::packaged_task<decltype(question())()>>(std::move(question));
    auto answer = task->get_future();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      TORCH_CHECK(!silent_, kNoAnswer);
      questions_.emplace_back([task] { (*task)(); });
    }
    changed_.notify_all();
    silent_ = answer.wait_for(kSilent) == std::future_status::timeout;
    TORCH_CHECK(!silent_, kNoAnswer);
    return answer.get();
  }

  bool silent() const { return silent_; }

 private:
  void answer() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopped_ || !questions_.empty(); });
      if (stopped_) return;
      const auto question = std::move(questions_.front());
      questions_.pop_front();
      lock.unlock();
      question();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> questions_;
  bool stopped_ = false;
  std::atomic<bool> silent_{false};
  std::thread thread_;
};

c10::intrusive_ptr<c10d::TCPStore> store;
// Of `store`.
std::string storeHost;
c10d::TCPStoreOptions storeOptions;
std::unique_ptr<Line> line;
std::unique_ptr<Pulse> pulse;
c10::intrusive_ptr<Group> group;
int groupRank = 0;
int groupSize = 1;
// Of the numbers that ranks count in the store, each with its rank behind it.
std::string beatKeys;
// Whether a collective has failed: others may never answer again.
bool broken = false;
Traffic traffic;

Line& opened() {
  TORCH_CHECK(line, "this rank has no store: it has not joined the others, or has left them");
  return *line;
}

Group& joined() {
  TORCH_CHECK(group, "this rank has not joined the others, or has left them");
  return *group;
}

c10::intrusive_ptr<Group> connect(const c10::intrusive_ptr<c10d::Store>& among, int rank, int size, at::Device device,
                                  std::chrono::milliseconds timeout) {
  if (device.is_cpu()) {
#ifdef USE_C10D_GLOO
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->timeout = timeout;
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(interface == nullptr || *interface == '\0' ? c10d::ProcessGroupGloo::createDefaultDevice()
                                                                          : c10d::ProcessGroupGloo::createDeviceForInterface(interface));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(among, rank, size, options);
#endif
  } else {
#ifdef USE_C10D_NCCL
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(among, rank, size, options);
#endif
  }
  TORCH_CHECK(false, "ranks on ", device.is_cpu() ? "CPUs need Gloo" : "GPUs need NCCL", ", which this addon was built without");
}

// Looks at how far the others have counted: a machine that is lost, or a process that stands still, breaks no connection.
class Watch {
 public:
  void look() {
    const auto now = std::chrono::steady_clock::now();
    counts_.resize(groupSize);
    for (int rank = 0; rank < groupSize; ++rank) {
      if (rank == groupRank) continue;
      const int64_t count = opened().ask([among = store, key = beatKeys + std::to_string(rank)] { return among->add(key, 0); });
      auto& [last, at] = counts_[rank];
      if (count != last || at == std::chrono::steady_clock::time_point{}) {
        last = count;
        at = now;
      }
      TORCH_CHECK(now - at < kSilent, "rank ", rank, " has not been heard of for ", kSilent.count(), " seconds");
    }
  }

 private:
  std::vector<std::pair<int64_t, std::chrono::steady_clock::time_point>> counts_;
};

// On CPUs the caller waits, and looks after the others meanwhile; on GPUs the stream does.
void finish(c10d::Work& work) {
  if (!group->getBackendName().compare("gloo")) {
    Watch watch;
    while (!work.isCompleted()) {
      try {
        work.wait(kBetweenLooks);
      } catch (const std::exception&) {
        if (work.isCompleted()) throw;
        watch.look();
      }
    }
  }
  work.wait();
}

// Calls what passes tensors, and waits for it: that others are gone is another error than what an operator throws for its arguments.
template <typename Call>
void pass(Call&& call) {
  try {
    finish(*call(joined()));
  } catch (const std::exception& error) {
    broken = true;
    TORCH_CHECK(false, kBroken, error.what());
  }
}

void count(const at::Tensor& sent) {
  ++traffic.calls;
  traffic.bytes += static_cast<int64_t>(sent.nbytes());
}

// Results lie in one piece of memory, which goes to the others at once; each as its own tensor lies, for its reader wants it so.
std::vector<at::Tensor> allMean(const at::Tensor&, at::TensorList tensors) {
  if (tensors.empty()) return {};
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += tensor.numel();
  at::Tensor flat = at::empty({total}, tensors[0].options().dtype(at::kFloat));
  std::vector<at::Tensor> means;
  int64_t first = 0;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor dense = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();
    means.push_back(flat.as_strided(dense.sizes(), dense.strides(), first));
    means.back().copy_(dense);
    first += dense.numel();
  }
  std::vector<at::Tensor> sent{flat};
  count(flat);
  pass([&](Group& among) { return among.allreduce(sent); });
  flat.div_(groupSize);
  return means;
}

// [n, ...] of every rank -> [size n, ...] in rank order, bytes as bytes.
at::Tensor allGather(const at::Tensor&, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.dim() > 0, "all_gather of a scalar: expected [n, ...]");
  at::Tensor own = tensor.contiguous();
  std::vector<int64_t> sizes = own.sizes().vec();
  sizes[0] *= groupSize;
  at::Tensor all = at::empty(sizes, own.options());
  std::vector<std::vector<at::Tensor>> parts{all.chunk(groupSize)};
  std::vector<at::Tensor> sent{own};
  count(own);
  pass([&](Group& among) { return among.allgather(parts, sent); });
  return all;
}

void broadcast(const at::Tensor&, at::TensorList tensors, int64_t root) {
  c10d::BroadcastOptions options;
  options.rootRank = static_cast<int>(root);
  for (const at::Tensor& tensor : tensors) {
    at::Tensor dense = tensor.contiguous();
    std::vector<at::Tensor> sent{dense};
    count(dense);
    pass([&](Group& among) { return among.broadcast(sent, options); });
    if (!dense.is_same(tensor)) tensor.copy_(dense);
  }
}

}  // namespace

void openStore(const std::string& host, uint16_t port, bool serve, std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = timeout;
  store = c10::make_intrusive<c10d::TCPStore>(host, options);
  storeHost = host;
  storeOptions = options;
  storeOptions.isServer = false;
  line = std::make_unique<Line>();
}

void setInStore(const std::string& key, const std::string& value) {
  opened().ask([among = store, key, bytes = std::vector<uint8_t>(value.begin(), value.end())] { among->set(key, bytes); });
}

bool getFromStore(const std::string& key, std::string& value) {
  // `get` waits for a key, and LibTorch 1.13 cannot take a request back that has waited in vain.
  const auto found = opened().ask([among = store, key] {
    return among->check({key}) ? std::optional<std::vector<uint8_t>>(among->get(key)) : std::nullopt;
  });
  if (!found) return false;
  value.assign(found->begin(), found->end());
  return true;
}

int64_t countInStore(const std::string& key) {
  return opened().ask([among = store, key] { return among->add(key, 1); });
}

void beatInStore(const std::string& key, std::chrono::milliseconds every) {
  opened();
  pulse.reset();
  pulse = std::make_unique<Pulse>(every, [among = store, key] { among->add(key, 1); });
}

void joinRanks(int rank, int size, const std::string& prefix, at::Device device, std::chrono::milliseconds timeout) {
  opened();
  groupRank = rank;
  groupSize = size;
  beatKeys = prefix + "beat/";
  broken = false;
  traffic = {};
  // By a connection of its own: who waits on one for the others keeps everything else on it waiting, beats too. And on a thread that is left
  // behind where one of them is gone.
  std::packaged_task<c10::intrusive_ptr<Group>()> task([rank, size, prefix, device, timeout, host = storeHost, options = storeOptions] {
    auto own = c10::make_intrusive<c10d::TCPStore>(host, options);
    return connect(c10::make_intrusive<c10d::PrefixStore>(prefix + "tensors/", std::move(own)), rank, size, device, timeout);
  });
  auto connected = task.get_future();
  std::thread(std::move(task)).detach();
  Watch watch;
  try {
    while (connected.wait_for(kBetweenLooks) == std::future_status::timeout) watch.look();
    group = connected.get();
  } catch (const std::exception& error) {
    TORCH_CHECK(false, kBroken, error.what());
  }
}

void leaveRanks() {
#if defined(USE_C10D_NCCL) && (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1))
  // A group of NCCL that is only let go of holds the process up at its end.
  if (auto* nccl = dynamic_cast<c10d::ProcessGroupNCCL*>(group.get())) {
    if (broken) {
      nccl->abort();
    } else {
      nccl->shutdown();
    }
  }
#endif
  // One of Gloo waits at its end for those that are gone, and this process ends next.
  if (broken) group.release();
  group.reset();
  groupSize = 1;
}

void closeStore() {
  // Their threads wait for an answer that does not come.
  if (line && line->silent()) {
    pulse.release();
    line.release();
  }
  pulse.reset();
  line.reset();
  store.reset();
}

Traffic rankTraffic() { return traffic; }

#else

namespace {

[[noreturn]] void refuse() { TORCH_CHECK(false, "this LibTorch has no c10d: it was built without it, or its headers were not there"); }

std::vector<at::Tensor> allMean(const at::Tensor&, at::TensorList) { refuse(); }
at::Tensor allGather(const at::Tensor&, const at::Tensor&) { refuse(); }
void broadcast(const at::Tensor&, at::TensorList, int64_t) { refuse(); }

}  // namespace

void openStore(const std::string&, uint16_t, bool, std::chrono::milliseconds) { refuse(); }
void setInStore(const std::string&, const std::string&) { refuse(); }
bool getFromStore(const std::string&, std::string&) { refuse(); }
int64_t countInStore(const std::string&) { refuse(); }
void beatInStore(const std::string&, std::chrono::milliseconds) { refuse(); }
void joinRanks(int, int, const std::string&, at::Device, std::chrono::milliseconds) { refuse(); }
void leaveRanks() {}
void closeStore() {}
Traffic rankTraffic() { return {}; }

#endif

}  // namespace detco

TORCH_LIBRARY_IMPL(detco, CPU, m) {
  m.impl("all_mean", TORCH_FN(detco::allMean));
  m.impl("all_gather", TORCH_FN(detco::allGather));
  m.impl("broadcast_", TORCH_FN(detco::broadcast));
}

#ifdef DETCO_CUDA
TORCH_LIBRARY_IMPL(detco, CUDA, m) {
  m.impl("all_mean", TORCH_FN(detco::allMean));
  m.impl("all_gather", TORCH_FN(detco::allGather));
  m.impl("broadcast_", TORCH_FN(detco::broadcast));
}
#endif
