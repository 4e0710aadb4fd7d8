// One stack of a Go program -> its frames, by pclntab's stack pointer distances. Sources: runtime/traceback.go,
// runtime/stkframe.go. The bytes are hostile: every step must climb within the bytes that were copied.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "elf/go_binary.h"
#include "forensics/registers.h"

namespace mapwatch::forensics {

/// The used part of a stack as it was copied.
struct StackBytes {
  std::uint64_t begin = 0;
  std::span<const std::uint8_t> bytes;

  bool holds(std::uint64_t address) const { return address >= begin && address - begin < bytes.size(); }
  std::optional<std::uint64_t> word(std::uint64_t address) const;
};

/// One physical frame; inlined calls come out of GoBinary::frames(lookup address).
struct Frame {
  std::uint64_t pc = 0;     ///< in the process: a return address, or where the thread stands
  std::uint64_t cfa = 0;    ///< stack pointer after the function returns; [cfa-8] is its return address
  std::uint64_t entry = 0;  ///< of the function, in the process
  bool exact = false;       ///< pc is the instruction itself, not one after a call
  bool system_stack = false;

  /// The address whose source line is that of the call.
  std::uint64_t lookup() const { return exact || pc == entry ? pc : pc - 1; }
};

enum class StackEnd {
  kTop,          ///< the goroutine's first function: whole
  kSwitch,       ///< code that switches stacks by hand: nothing beyond is certain
  kSignal,       ///< a signal's frame: goes on with the interrupted registers
  kUnknownCode,  ///< a return address outside of the program's Go code
  kCut,          ///< the stack goes on beyond the bytes that were copied
  kTooDeep,      ///< more frames than are looked at
};

struct Walk {
  std::vector<Frame> frames;  ///< innermost first
  StackEnd end = StackEnd::kCut;
  std::optional<ThreadRegisters> interrupted;  ///< of kSignal
  /// Cross-check: frames whose saved frame pointer names the caller's frame, and those where it names another place.
  std::size_t frame_pointers_agree = 0;
  std::size_t frame_pointers_differ = 0;
};

class Unwinder {
 public:
  /// `bias`: address in the process = the file's + bias. `binary` must outlive the value.
  Unwinder(const elf::GoBinary& binary, std::uint64_t bias) : binary_(binary), bias_(bias) {}

  /// Walks from `start`. `exact`: start.pc is where the thread stands, not a saved return address.
  Walk walk(const StackBytes& stack, const ThreadRegisters& start, bool exact);

 private:
  const elf::UnwindRow* row(std::uint64_t pc);

  const elf::GoBinary& binary_;
  std::uint64_t bias_;
  std::unordered_map<std::uint64_t, std::optional<elf::UnwindRow>> rows_;
};

}  // namespace mapwatch::forensics
