// Symbols of running processes, from their binaries' own bytes. Any thread may call.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "elf/binary_source.h"
#include "elf/go_binary.h"
#include "symbolize/frame_cache.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

class LiveSymbolizer : public Symbolizer {
 public:
  static constexpr std::size_t kDefaultCacheBytes = 8u << 20;
  static constexpr std::size_t kMaxFrames = 256;  ///< of one stack, inlined frames included

  explicit LiveSymbolizer(std::size_t cache_bytes = kDefaultCacheBytes) : cache_(cache_bytes) {}

  /// `binary` may be shared by all processes that run one program. Replaces what was known of `tgid` (an exec).
  void add_process(std::uint32_t tgid, std::shared_ptr<const elf::BinarySource> binary, std::uint64_t load_bias);
  /// After the last report of the process.
  void forget_process(std::uint32_t tgid);

  std::vector<Frame> stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) override;
  std::vector<Frame> at(std::uint32_t tgid, std::uint64_t pc) override;
  std::string type_name(std::uint32_t tgid, std::uint64_t address) override;

  /// Waits for nobody.
  std::size_t cache_bytes() const { return cache_bytes_; }

 private:
  struct Process {
    std::shared_ptr<const elf::BinarySource> binary;
    std::uint64_t serial = 0;  ///< of the binary: the cache's key, for an address may be used again
    std::uint64_t load_bias = 0;
  };

  struct Known {
    std::weak_ptr<const elf::BinarySource> binary;
    std::uint64_t serial = 0;
  };

  /// The same for all processes of a binary as long as somebody keeps it, also when none of them runs.
  std::uint64_t serial_of(const std::shared_ptr<const elf::BinarySource>& binary);
  const Process* find(std::uint32_t tgid) const;
  void append(const Process* process, const elf::GoBinary* binary, std::uint64_t pc, std::uint64_t instruction,
              std::vector<Frame>& frames);

  mutable std::mutex mutex_;
  FrameCache cache_;
  std::atomic<std::size_t> cache_bytes_ = 0;
  std::unordered_map<std::uint32_t, Process> processes_;
  std::vector<Known> known_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace mapwatch::symbolize
