// Schedules: calls side by side where they may be, in order where they must.
#include "../src/schedule.h"

#include "expect.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace detco_test {
namespace {

using detco::Schedule;
using detco::Team;

// Random calls on a few places; each result depends on all that was there, so that any two in the wrong order give another.
void checkOrder(Team& team) {
  struct Call {
    std::vector<int> reads, writes;
  };
  constexpr int kPlaces = 24;
  std::mt19937 random(3);
  std::vector<Call> calls(600);
  Schedule schedule;
  for (auto& call : calls) {
    for (auto n = random() % 4; n > 0; --n) call.reads.push_back(static_cast<int>(random() % kPlaces));
    for (auto n = 1 + random() % 2; n > 0; --n) call.writes.push_back(static_cast<int>(random() % kPlaces));
    schedule.add(call.reads, call.writes);
  }
  const auto run = [&](std::vector<uint64_t>& values, size_t i) {
    uint64_t sum = i;
    for (const int read : calls[i].reads) sum = sum * 31 + values[read];
    for (const int written : calls[i].writes) values[written] = values[written] * 37 + sum;
  };
  std::vector<uint64_t> expected(kPlaces, 1);
  for (size_t i = 0; i < calls.size(); ++i) run(expected, i);
  bool same = true;
  for (int repetition = 0; repetition < 20; ++repetition) {
    std::vector<uint64_t> values(kPlaces, 1);
    schedule.run(team, [&](size_t i) {
      if (i % 7 == static_cast<size_t>(repetition % 7)) std::this_thread::yield();
      run(values, i);
    });
    same = same && values == expected;
  }
  expect(same, "schedule: 600 calls in 20 runs read and write as they do in order");
}

void checkSideBySide(Team& team) {
  Schedule schedule;
  schedule.add({0}, {1});
  schedule.add({0}, {2});
  schedule.add({1, 2}, {3});
  std::atomic<int> begun{0};
  std::atomic<int> together{0};
  int last = 0;
  schedule.run(team, [&](size_t call) {
    if (call == 2) {
      last = begun;
      return;
    }
    ++begun;
    // Each waits for the other; in turn they would wait for ever.
    for (int ms = 0; ms < 20000 && begun < 2; ++ms) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (begun == 2) ++together;
  });
  expect(together == 2, "schedule: two calls that share nothing but what they read run side by side");
  expect(last == 2, "schedule: what reads the results of both runs after both");
}

void checkFailure(Team& team) {
  Schedule schedule;
  for (int i = 0; i < 10; ++i) schedule.add({i}, {i + 1});
  std::atomic<int> ran{0};
  std::string message;
  try {
    schedule.run(team, [&](size_t call) {
      ++ran;
      if (call == 4) throw std::runtime_error("call four");
    });
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  expect(message == "call four", "schedule: gives what a call has thrown, got '" + message + "'");
  expect(ran == 5, "schedule: nothing that waits for a call that failed runs");
  ran = 0;
  schedule.run(team, [&](size_t) { ++ran; });
  expect(ran == 10, "schedule: runs again after a failure");
  Schedule().run(team, [&](size_t) { ++ran; });
  expect(ran == 10, "schedule: one without calls ends");
}

void checkThreads() {
#ifdef _OPENMP
  const int before = at::get_num_threads();
  Team team(4);
  std::atomic<int> threads{0};
  team.run([&] {
    // LibTorch sets the number of a thread when that runs something in parallel first.
    at::parallel_for(0, 100, 1, [](int64_t, int64_t) {});
    threads += at::get_num_threads();
  });
  expect(threads == 4 && team.threadsEach() == 2, "team: each member has its share of the threads");
  expect(at::get_num_threads() == before, "team: those of the caller stay");
#endif
}

}  // namespace

void checkSchedule() {
  Team team(3);
  expect(team.size() == 3 && team.threadsEach() == 1, "team: three threads are three members");
  checkOrder(team);
  checkSideBySide(team);
  checkFailure(team);
  checkThreads();
}

}  // namespace detco_test
