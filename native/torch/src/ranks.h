// Several processes that train one network: what they tell each other on the host, and the operators by which tensors pass between them.
//
// All of c10d is behind this file, for its names and classes change from one LibTorch to the next.
#pragma once
#include <ATen/ATen.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace detco {

// What tensors can go by: "gloo" between CPUs, "nccl" between GPUs. Empty where LibTorch has no c10d, or its headers were not there.
std::vector<std::string> rankTransports();

// A store of keys that all ranks see. Rank 0 serves it; the others connect to it, for as long as `timeout`. Whoever asks it and gets no answer
// for 15 seconds gets an error, and at once from then on.
void openStore(const std::string& host, uint16_t port, bool serve, std::chrono::milliseconds timeout);
void setInStore(const std::string& key, const std::string& value);
// Whether the key is there, and its value then; does not wait.
bool getFromStore(const std::string& key, std::string& value);
// Adds one to a number, which begins at 0; gives what it is then.
int64_t countInStore(const std::string& key);

// Counts in the store from here on, every so often, whatever the other threads wait for: the others see by it that this process is there.
void beatInStore(const std::string& key, std::chrono::milliseconds every);

// Connects this rank with all others, which count by `beatInStore` at `PREFIXbeat/RANK`; every rank has to call it. Then `detco::all_mean`,
// `detco::all_gather` and `detco::broadcast_` pass tensors of `device`. Who waits for longer than `timeout` for another, or on a CPU for one
// that does not count any more, gets an error.
void joinRanks(int rank, int size, const std::string& prefix, at::Device device, std::chrono::milliseconds timeout);
// Closes those connections: who waits for this rank gets an error.
void leaveRanks();
void closeStore();

// Bytes that this rank gave to collectives, and how many there were.
struct Traffic {
  int64_t calls = 0;
  int64_t bytes = 0;
};
Traffic rankTraffic();

}  // namespace detco
