// Memory without mapwatch's own breakpoints: where a probe left 0xCC, the byte that stood there before.
#pragma once

#include <map>

#include "forensics/memory.h"

namespace mapwatch::forensics {

class OriginalBytes : public Memory {
 public:
  /// `memory` must outlive the value. `bytes`: address in the process -> what its file has there.
  OriginalBytes(const Memory& memory, std::map<std::uint64_t, std::uint8_t> bytes)
      : memory_(memory), bytes_(std::move(bytes)) {}

  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    const bool ok = memory_.read(address, out);
    restore(address, out);
    return ok;
  }
  void read_many(std::span<ReadRequest> requests) const override {
    memory_.read_many(requests);
    for (ReadRequest& request : requests) {
      restore(request.address, request.out);
    }
  }
  std::span<const Mapping> mappings() const override { return memory_.mappings(); }

 private:
  void restore(std::uint64_t address, std::span<std::uint8_t> out) const {
    for (auto at = bytes_.lower_bound(address); at != bytes_.end() && at->first - address < out.size(); ++at) {
      std::uint8_t& byte = out[at->first - address];
      byte = byte == kBreakpoint ? at->second : byte;  // a probe may be gone by now, its byte is then already right
    }
  }

  static constexpr std::uint8_t kBreakpoint = 0xCC;  // int3

  const Memory& memory_;
  std::map<std::uint64_t, std::uint8_t> bytes_;
};

}  // namespace mapwatch::forensics
