// Who holds a pointer, first ring: words of goroutines' stacks, registers, and variables of the program. (Objects of
// the heap that hold it, and who holds those, are searched by find_word over other ranges.) A word is a word: that the
// program will use it again is not said.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "forensics/goroutine_copy.h"
#include "forensics/goroutines.h"
#include "forensics/word_search.h"

namespace mapwatch::forensics {

/// A word of a stack.
struct StackHolder {
  std::size_t goroutine = 0;    ///< index in Goroutines::list
  std::size_t frame = 0;        ///< index in Goroutine::frames: whose part of the stack it is in
  std::uint64_t address = 0;    ///< of the word
  std::uint64_t sp_offset = 0;  ///< from that frame's stack pointer
  /// It is where the function that this frame called may keep its n-th word of arguments (its spill slots lie at the
  /// bottom of the caller's frame), n below arch::kArguments.
  std::optional<std::size_t> argument_of_callee;
};

/// A general register of a thread.
struct RegisterHolder {
  std::uint64_t thread = 0;              ///< as the target knows it
  std::optional<std::size_t> goroutine;  ///< that runs on it: index in Goroutines::list
  std::size_t reg = 0;                   ///< arch::Register
};

/// A word of the program's own variables.
struct VariableHolder {
  std::uint64_t address = 0;       ///< in the process
  std::uint64_t file_address = 0;  ///< in the program's file
  elf::Variable variable;
  std::vector<std::string> used_by;  ///< without a name: functions that refer to it
};

struct MapHolders {
  std::vector<StackHolder> stacks;  ///< as many as kMostHolders
  std::uint64_t stacks_total = 0;
  std::uint64_t goroutines_total = 0;  ///< that have such words
  std::vector<RegisterHolder> registers;
  std::vector<VariableHolder> variables;
  std::uint64_t variables_total = 0;
  /// What was not searched, for people; empty: all stacks, registers and variables were.
  std::vector<std::string> partial;
};
constexpr std::size_t kMostHolders = 10'000;

/// `variables` is what find_word found in the program's writable segments while it stood still, or none.
MapHolders map_holders(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines,
                       const GoProcess& process, const std::optional<WordPlaces>& variables);

/// The program's writable segments as they lie in the process.
std::vector<elf::AddressRange> variable_memory(const GoProcess& process);

}  // namespace mapwatch::forensics
