// The arguments that the calls on a stack were given, as far as the code of caller and callee proves them
// (arch/arguments.h). Map functions first: which map, of which type.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>

#include "arch/arguments.h"
#include "arch/candidates.h"
#include "forensics/goroutine_copy.h"
#include "forensics/registers.h"
#include "forensics/unwind.h"

namespace mapwatch::forensics {

/// One goroutine's frames, and what can be read of its process.
struct CallStack {
  std::span<const Frame> frames;  ///< innermost first
  /// A word of the process; nullopt when it cannot be read.
  std::function<std::optional<std::uint64_t>(std::uint64_t address)> word;
  /// Of its thread, when that stands in frames[0]; null when it does not, or they are not known.
  const ThreadRegisters* registers = nullptr;
};

/// The registers of its thread, when that stands in the goroutine's innermost frame; else null.
const ThreadRegisters* standing_registers(const GoroutineCopy& copy, const Goroutine& goroutine);

/// What a map function was called with; 0 where that is not proven.
struct MapArguments {
  std::uint64_t map = 0;
  std::uint64_t type = 0;
  std::uint64_t iterator = 0;
};

class CallArguments {
 public:
  /// `process` must outlive the value.
  explicit CallArguments(const GoProcess& process) : process_(process) {}

  /// Argument `n` of the function of frames[i].
  std::optional<std::uint64_t> value(const CallStack& stack, std::size_t i, std::size_t n);
  /// Of frames[i], which is in a function that takes its map as `arg` says.
  MapArguments map_arguments(const CallStack& stack, std::size_t i, mw_arg arg);
  /// The function of that frame when it is an operation on a map.
  std::optional<arch::Candidate> map_function(const Frame& frame) const;

 private:
  std::optional<std::uint64_t> value(const CallStack& stack, std::size_t i, std::size_t n, int depth);
  const std::optional<arch::ArgumentFacts>& facts(const Frame& frame);

  const GoProcess& process_;
  std::unordered_map<std::uint64_t, std::optional<arch::ArgumentFacts>> known_;  ///< by pc * 2 + exact
};

/// True for functions of the runtime, of reflect and of the compiler, between which a map operation is carried out: on
/// a stack, what is further in than the first other function may be part of the operation. Not runtime.gopanic: what
/// runs within it are deferred calls.
bool runs_map_code(std::string_view function);

}  // namespace mapwatch::forensics
