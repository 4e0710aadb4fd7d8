// Memory that is not read any more once a moment has passed: a process must not stay frozen for the sake of a copy.
#pragma once

#include "base/clock.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

class BoundedMemory : public Memory {
 public:
  /// From `deadline_ns` (CLOCK_MONOTONIC) on every read fails. `inner` and `clock` must outlive the value.
  BoundedMemory(const Memory& inner, const Clock& clock, std::uint64_t deadline_ns)
      : inner_(inner), clock_(clock), deadline_ns_(deadline_ns) {}

  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    return !late() && inner_.read(address, out);
  }
  /// The moment is looked at between batches, each small enough to be read within some 10 ms.
  void read_many(std::span<ReadRequest> requests) const override {
    while (!requests.empty()) {
      std::size_t count = 0, bytes = 0;
      while (count < requests.size() && count < kBatch && (count == 0 || bytes < kBatchBytes)) {
        bytes += requests[count++].out.size();
      }
      if (late()) {
        for (ReadRequest& request : requests) {
          request.ok = false;
        }
        return;
      }
      inner_.read_many(requests.first(count));
      requests = requests.subspan(count);
    }
  }
  std::span<const Mapping> mappings() const override { return inner_.mappings(); }

  /// Something was not read for want of time.
  bool cut() const { return cut_; }

 private:
  static constexpr std::size_t kBatch = 4096;
  static constexpr std::size_t kBatchBytes = std::size_t{32} << 20;

  bool late() const {
    cut_ = cut_ || clock_.monotonic_ns() >= deadline_ns_;
    return cut_;
  }

  const Memory& inner_;
  const Clock& clock_;
  std::uint64_t deadline_ns_;
  mutable bool cut_ = false;
};

}  // namespace mapwatch::forensics
