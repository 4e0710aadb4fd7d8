// What forensics reads from: a live process, a recorded snapshot or an ELF core file, behind one interface, so that
// tests need no root and no process. Every byte is hostile: a read may fail at any address.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace mapwatch::forensics {

/// One mapping of the target, as /proc/PID/maps or a core's PT_LOAD says it.
struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  std::uint64_t file_offset = 0;
  std::string path;  ///< empty: anonymous
};

/// One of many reads at once; `ok` says how it went, `out` is unspecified when it is false.
struct ReadRequest {
  std::uint64_t address = 0;
  std::span<std::uint8_t> out;
  bool ok = false;
};

class Memory {
 public:
  virtual ~Memory() = default;

  /// As read() for each request, in as few system calls as there can be.
  virtual void read_many(std::span<ReadRequest> requests) const {
    for (ReadRequest& request : requests) {
      request.ok = read(request.address, request.out);
    }
  }

  /// Fills `out` from `address` on; false when any byte of it cannot be read (`out` is then unspecified).
  virtual bool read(std::uint64_t address, std::span<std::uint8_t> out) const = 0;
  /// By address, not overlapping.
  virtual std::span<const Mapping> mappings() const = 0;

  /// A value of the target's (little endian, x86-64); nullopt when it cannot be read.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> get(std::uint64_t address) const {
    T value{};
    if (!read(address, {reinterpret_cast<std::uint8_t*>(&value), sizeof(T)})) {
      return std::nullopt;
    }
    return value;
  }
  std::optional<std::uint64_t> word(std::uint64_t address) const { return get<std::uint64_t>(address); }
};

}  // namespace mapwatch::forensics
