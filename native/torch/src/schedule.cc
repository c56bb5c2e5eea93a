#include "schedule.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>

namespace detco {

void setThreads(int threads) {
  // A thread that asks for the first time is given the number of the process: by LibTorch's copy of this, and by the addon's.
  at::get_num_threads();
  at::internal::lazy_init_num_threads();
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
  if (void* set = dlsym(RTLD_DEFAULT, "MKL_Set_Num_Threads_Local")) reinterpret_cast<int (*)(int)>(set)(threads);
}

namespace {

// Two, as updates have about as much to do side by side; one thread of three would be left over.
int membersFor(int threads) { return threads == 3 ? 3 : 2; }

}  // namespace

Team::Team(int threads) : threadsEach_(std::max(1, threads / membersFor(threads))) {
  try {
    for (int i = 0; i < membersFor(threads); ++i) members_.emplace_back([this] { serve(); });
    // A member that sets its threads changes a pool of LibTorch's, which the end of the process takes down.
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ready_ == members_.size(); });
  } catch (...) {
    close();
    throw;
  }
}

Team::~Team() { close(); }

void Team::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  for (auto& member : members_) member.join();
}

void Team::run(const std::function<void()>& body) {
  std::unique_lock<std::mutex> lock(mutex_);
  body_ = &body;
  running_ = members_.size();
  ++round_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return running_ == 0; });
  body_ = nullptr;
}

void Team::serve() {
  setThreads(threadsEach_);
  std::unique_lock<std::mutex> lock(mutex_);
  ++ready_;
  changed_.notify_all();
  for (uint64_t done = 0;; ++done) {
    changed_.wait(lock, [&] { return closed_ || round_ > done; });
    if (closed_) return;
    lock.unlock();
    (*body_)();
    lock.lock();
    if (--running_ == 0) changed_.notify_all();
  }
}

void Schedule::add(const std::vector<int>& reads, const std::vector<int>& writes) {
  const size_t call = calls_.size();
  std::vector<size_t> before;
  const auto place = [&](int number) -> Place& {
    if (places_.size() <= static_cast<size_t>(number)) places_.resize(number + 1);
    return places_[number];
  };
  for (const int number : reads) {
    Place& read = place(number);
    if (read.writer >= 0) before.push_back(read.writer);
    read.readers.push_back(call);
  }
  for (const int number : writes) {
    Place& written = place(number);
    if (written.writer >= 0) before.push_back(written.writer);
    before.insert(before.end(), written.readers.begin(), written.readers.end());
    written.readers.clear();
    written.writer = static_cast<std::ptrdiff_t>(call);
  }
  std::sort(before.begin(), before.end());
  before.erase(std::unique(before.begin(), before.end()), before.end());
  // It may read what it writes.
  before.erase(std::remove(before.begin(), before.end(), call), before.end());
  calls_.push_back({static_cast<int>(before.size()), {}});
  for (const size_t earlier : before) calls_[earlier].after.push_back(call);
}

void Schedule::run(Team& team, const std::function<void(size_t)>& body) {
  std::mutex mutex;
  std::condition_variable changed;
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  std::vector<int> before(calls_.size());
  size_t left = calls_.size();
  std::exception_ptr failure;
  for (size_t i = 0; i < calls_.size(); ++i) {
    before[i] = calls_[i].before;
    if (before[i] == 0) ready.push(i);
  }
  team.run([&] {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return !ready.empty() || left == 0 || failure; });
      if (left == 0 || failure) return;
      const size_t call = ready.top();
      ready.pop();
      if (!ready.empty()) changed.notify_one();
      lock.unlock();
      std::exception_ptr thrown;
      try {
        body(call);
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      --left;
      if (thrown && !failure) failure = thrown;
      for (const size_t next : calls_[call].after) {
        if (--before[next] == 0) ready.push(next);
      }
      if (left == 0 || failure) changed.notify_all();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detco
