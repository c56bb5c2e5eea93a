// Calls recorded in an order that was one of many: which of them have to wait for which follows from the memory that they read and
// write, and the others can run side by side. Small operators on a thread each finish sooner than each on all threads, which would have to
// wait for each other a thousand times a step.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

namespace detco {

// OpenMP's and MKL's threads of the calling thread alone: at::set_num_threads would set those of threads to come as well.
void setThreads(int threads);

// Threads that run one function together and sleep in between. Members are alike, so that it makes no difference who runs what: of some
// operators the bits depend on the number of threads.
class Team {
 public:
  // As many members of `threadsEach` of OpenMP's threads as suit `threads`, of which an odd one may be left over.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Calls `body`, which does not throw, in every member; returns when all have.
  void run(const std::function<void()>& body);

  int size() const { return static_cast<int>(members_.size()); }
  int threadsEach() const { return threadsEach_; }

 private:
  void serve();
  void close();

  const int threadsEach_;

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* body_ = nullptr;
  uint64_t round_ = 0;
  size_t ready_ = 0;
  size_t running_ = 0;
  bool closed_ = false;
  std::vector<std::thread> members_;
};

class Schedule {
 public:
  // The next call, by what it reads and writes: numbers of places, from 0 on.
  void add(const std::vector<int>& reads, const std::vector<int>& writes);

  size_t size() const { return calls_.size(); }

  // Calls body(call) for every call, on the threads of `team`: after all that wrote what it reads or writes, or read what it writes. Among
  // those that can run the first goes first, so that memory lives about as long as it did. Throws what a call has thrown; which of the others have run by then is open.
  void run(Team& team, const std::function<void(size_t)>& body);

 private:
  struct Call {
    int before = 0;  // calls to wait for
    std::vector<size_t> after;
  };
  struct Place {
    std::ptrdiff_t writer = -1;
    std::vector<size_t> readers;  // since
  };

  std::vector<Call> calls_;
  std::vector<Place> places_;
};

}  // namespace detco
