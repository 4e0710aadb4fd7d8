// What is copied of the goroutines while the process stands still: bytes, in a few large reads. All decoding comes
// later, from the copy (goroutine_decode.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "elf/runtime_globals.h"
#include "elf/runtime_layout.h"
#include "forensics/goroutines.h"
#include "forensics/memory.h"
#include "forensics/registers.h"
#include "forensics/unwind.h"

namespace mapwatch::forensics {

/// A Go process as far as reading it goes; made before the freeze. `binary` must outlive it.
struct GoProcess {
  const elf::GoBinary* binary = nullptr;
  std::uint64_t bias = 0;  ///< address in the process = the file's + bias
  elf::RuntimeLayout layout;
  elf::RuntimeGlobals globals;

  static GoProcess of(const elf::GoBinary& binary, std::uint64_t bias) {
    return {&binary, bias, binary.runtime_layout(), binary.runtime_globals()};
  }
};

/// The load bias of the program at `path` among the mappings; kMalformed when it is not mapped.
Result<std::uint64_t> load_bias(std::span<const Mapping> mappings, const std::string& path,
                                const elf::GoBinary& binary);

struct CopyLimits {
  std::size_t goroutines = 4'000'000;
  std::size_t one_stack = std::size_t{1} << 20;  ///< bytes, from the innermost frame on
  std::size_t all_stacks = std::size_t{1} << 30;
  std::size_t machines = 100'000;
  std::size_t processors = 65'536;
};

/// Structs of one kind, side by side.
struct StructCopies {
  std::size_t size = 0;
  std::vector<std::uint64_t> addresses;
  std::vector<std::uint8_t> bytes;
  std::vector<bool> ok;

  std::size_t count() const { return addresses.size(); }
  /// Field of the i-th; 0 when the struct could not be read or the field is elf::kAbsent.
  template <typename T = std::uint64_t>
  T get(std::size_t i, std::uint32_t offset) const {
    T value{};
    if (offset <= size && size - offset >= sizeof(T) && ok[i]) {
      std::memcpy(&value, bytes.data() + i * size + offset, sizeof(T));
    }
    return value;
  }
  /// Adds structs of the same size.
  void append(const StructCopies& more) {
    size = more.size;
    addresses.insert(addresses.end(), more.addresses.begin(), more.addresses.end());
    bytes.insert(bytes.end(), more.bytes.begin(), more.bytes.end());
    ok.insert(ok.end(), more.ok.begin(), more.ok.end());
  }
};

/// Where a goroutine's stack begins, and how that is known.
struct StackStart {
  ThreadRegisters at;
  bool exact = false;
};

struct GoroutineCopy {
  StructCopies gs;                                             ///< by allgs, as many as there are pointers
  StructCopies ms;                                             ///< by allm
  StructCopies ps;                                             ///< by allp
  StructCopies systems;                                        ///< g0 and gsignal of each m: entries 2i and 2i+1
  StructCopies sudogs;                                         ///< of waiting goroutines
  std::unordered_map<std::uint64_t, std::size_t> sudog_index;  ///< address -> entry of sudogs
  std::vector<std::uint8_t> sched;
  std::optional<std::uint32_t> gc_phase;
  std::vector<StackBytes> stacks;                                ///< of gs[i]; empty when there is nothing to read
  std::vector<bool> stack_cut;                                   ///< longer than the limit
  std::vector<StackBytes> system_stacks;                         ///< of systems[i], from the thread's SP on
  std::unordered_map<std::uint64_t, std::vector<Label>> labels;  ///< by g.labels
  RegisterMap registers;
  std::uint64_t now_ns = 0;  ///< Go's nanotime, CLOCK_MONOTONIC unless the process is in a time namespace; 0: not known
  std::uint32_t alllink = 0;  ///< offset that the list of Ms was walked by
  std::vector<std::string> notes;
  std::vector<std::unique_ptr<std::uint8_t[]>> pool;  ///< owns the bytes of the stacks
};

/// Copies. `registers`: of every thread, by the id that the target knows it by; goroutines that run on a thread
/// without them have no stack. Errors: kUnsupported when allgs cannot be found, kMalformed when what is there is none.
Result<GoroutineCopy> copy_goroutines(const Memory& memory, const GoProcess& process, RegisterMap registers,
                                      const CopyLimits& limits = {});

/// Of the g at entry `i` of `gs`, whose m is entry `m` of copy.ms (or none): where its own stack is walked from. For
/// code on the system stack that is where it left its own one. nullopt: it has none to show, or is hidden.
std::optional<StackStart> stack_start(const GoroutineCopy& copy, const elf::RuntimeLayout& layout, std::size_t i,
                                      std::optional<std::size_t> m);

/// runtime.g's status without the scan bit (_Gscan).
constexpr std::uint32_t kScanBit = 0x1000;

}  // namespace mapwatch::forensics
