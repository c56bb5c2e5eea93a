// How batch norm cuts x [groups, rows, channels] into work.
//
//   group  ── chunks, at most about 512 KiB of x: the unit of threads, with its own partial sums
//   chunk  ── blocks of rows that stay in the L1 or L2 cache while they are read twice
//   line   ── `fold` rows side by side where channels are few, so that loops over a line are long enough to vectorise;
//             rows left over after the last full line are a group's tail, and belong to its last chunk
//
// Chunks do not depend on the number of threads and are merged in order, so results have the same bits however many
// threads run.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace detco {

struct NormRows {
  int64_t groups;
  int64_t rows;  // of a group
  int64_t channels;
  int64_t fold;
  int64_t width;      // fold * channels
  int64_t lines;      // full lines of a group
  int64_t tail;       // rows after the last full line
  int64_t chunkLines;
  int64_t chunks;  // of a group
  int64_t blockLines;

  NormRows(const at::Tensor& x, int64_t groupCount) {
    groups = groupCount;
    channels = x.size(-1);
    rows = x.numel() / channels / groups;
    fold = std::max<int64_t>(1, 128 / channels);
    width = fold * channels;
    lines = rows / fold;
    tail = rows % fold;
    const int64_t lineBytes = width * static_cast<int64_t>(sizeof(float));
    // Sixteen a group, that any number of threads shares them evenly, but not so small that merging them costs.
    chunkLines = std::max<int64_t>(64, std::min((int64_t{512} << 10) / lineBytes, (lines + 15) / 16));
    chunks = std::max<int64_t>(1, (lines + chunkLines - 1) / chunkLines);
    blockLines = std::min<int64_t>(64, std::max<int64_t>(16, (int64_t{32} << 10) / lineBytes));
  }

  int64_t firstLine(int64_t chunk) const { return chunk * chunkLines; }
  int64_t endLine(int64_t chunk) const { return std::min(lines, (chunk + 1) * chunkLines); }
  bool last(int64_t chunk) const { return chunk + 1 == chunks; }
  // Of element 0 of a group.
  int64_t groupStart(int64_t group) const { return group * rows * channels; }
  int64_t tailStart(int64_t group) const { return groupStart(group) + lines * width; }

  // Calls f(start, lines, length) for `lines` lines of `length` elements from element `start` on: pieces of a chunk of at
  // most `most` lines, and the tail as a line of its own.
  template <typename F>
  void forLines(int64_t group, int64_t chunk, int64_t most, F f) const {
    const int64_t end = endLine(chunk);
    for (int64_t line = firstLine(chunk); line < end; line += most) {
      f(groupStart(group) + line * width, std::min(most, end - line), width);
    }
    if (last(chunk) && tail > 0) f(tailStart(group), 1, tail * channels);
  }

  // Runs reduce(group, chunk) for all chunks of a group, then finish(group), then apply(group, chunk), in reverse so
  // that what was read last is found in the cache. Whole groups go to threads where that balances: a group that fits
  // in the thread's cache is then read from memory once.
  template <typename Reduce, typename Finish, typename Apply>
  void run(Reduce reduce, Finish finish, Apply apply) const {
    const int64_t threads = at::get_num_threads();
    if (groups % threads == 0 || groups >= 4 * threads) {
      at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
        for (int64_t group = begin; group < end; ++group) {
          for (int64_t chunk = 0; chunk < chunks; ++chunk) reduce(group, chunk);
          finish(group);
          for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) apply(group, chunk);
        }
      });
      return;
    }
    const int64_t all = groups * chunks;
    at::parallel_for(0, all, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) reduce(i / chunks, i % chunks);
    });
    at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t group = begin; group < end; ++group) finish(group);
    });
    at::parallel_for(0, all, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = end - 1; i >= begin; --i) apply(i / chunks, i % chunks);
    });
  }
};

}  // namespace detco
