// The memory of a running or frozen process. Each read sees the process as it is at that moment: for a picture of one
// moment, freeze it first.
#pragma once

#include <vector>

#include "base/proc.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

class LiveMemory : public Memory {
 public:
  /// Needs the rights of ptrace(2) over `pid`. Errors: kGone, kPermission.
  static Result<LiveMemory> open(int pid, const proc::ProcFs& procfs = proc::ProcFs());

  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override;
  /// process_vm_readv, neighbours joined, 1,024 ranges a call; what that refuses is tried through /proc/PID/mem.
  void read_many(std::span<ReadRequest> requests) const override;
  std::span<const Mapping> mappings() const override { return mappings_; }

 private:
  LiveMemory(int pid, UniqueFd mem, std::vector<Mapping> mappings)
      : pid_(pid), mem_(std::move(mem)), mappings_(std::move(mappings)) {}
  void read_ranges(std::span<ReadRequest> requests) const;
  bool read_slowly(std::uint64_t address, std::span<std::uint8_t> out) const;

  int pid_ = 0;
  UniqueFd mem_;
  std::vector<Mapping> mappings_;
};

}  // namespace mapwatch::forensics
