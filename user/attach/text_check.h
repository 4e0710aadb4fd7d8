// Compares a plan with the text it is about to patch, and with what stands there afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "attach/plan.h"
#include "attach/target.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "elf/go_binary.h"

namespace mapwatch::attach {

/// Fills `out` from `address` of a process or of a file's segments, wholly or not at all.
using MemoryReader = std::function<bool(std::uint64_t address, std::span<std::uint8_t> out)>;

/// /proc/PID/mem, opened once: after an exec it reads nothing more, never another program's bytes.
class ProcessMemory {
 public:
  /// Errors: kGone, kPermission.
  static Result<ProcessMemory> open(const Target& target, const proc::ProcFs& procfs = proc::ProcFs());
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const;
  /// Lives as long as this object.
  MemoryReader reader() const {
    return [this](std::uint64_t address, std::span<std::uint8_t> out) { return read(address, out); };
  }

 private:
  explicit ProcessMemory(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// What was found beside the expected bytes; none of it forbids attaching.
struct TextNotes {
  std::vector<std::size_t>
      already_probed;  ///< indices into Plan::probes whose first byte is 0xCC already: somebody else's uprobe
  std::vector<std::string> notes;  ///< the same in words, for the user
};

/// Compares the bytes of each probe with the file's and with the process' text at `bias`. Errors: kGone when the file
/// differs from the plan or the process from the file (replaced, or text rewritten), or when the text cannot be read.
Result<TextNotes> verify_bytes(const Plan& plan, const elf::GoBinary& binary, const MemoryReader& memory,
                               std::uint64_t bias);
/// The same with the file as an open descriptor.
Result<TextNotes> verify_bytes(const Plan& plan, int file, const MemoryReader& memory, std::uint64_t bias);
/// The same with the file as a reader of its own virtual addresses.
Result<TextNotes> verify_bytes(const Plan& plan, const MemoryReader& file, const MemoryReader& memory,
                               std::uint64_t bias);

/// Indices of the probes that no breakpoint stands at in the process: attached, but never to fire. Sites that cannot be
/// read count as silent.
std::vector<std::size_t> silent_sites(const Plan& plan, const MemoryReader& memory, std::uint64_t bias);

}  // namespace mapwatch::attach
