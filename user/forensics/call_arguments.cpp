#include "forensics/call_arguments.h"

#include <bit>

namespace mapwatch::forensics {
namespace {

// Functions that hand a map through to the one that uses it, one after the other: the compiler inlines all but a few.
constexpr int kMostCallers = 4;
// Places asked for in one process; each costs some 100 us.
constexpr std::size_t kMaxKnown = 4096;

bool begins_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (text.starts_with(prefix)) {
      return true;
    }
  }
  return false;
}

}  // namespace

const ThreadRegisters* standing_registers(const GoroutineCopy& copy, const Goroutine& goroutine) {
  const auto found = copy.registers.find(goroutine.thread);
  const bool stands = goroutine.status == GStatus::kRunning && found != copy.registers.end() &&
                      !goroutine.frames.empty() && goroutine.frames[0].pc == found->second.pc;
  return stands ? &found->second : nullptr;
}

bool runs_map_code(std::string_view function) {
  if (function == "runtime.gopanic") {
    return false;
  }
  // Without a dot: assembly (memeqbody). "type:.eq.T" and, before Go 1.20, "type..eq.T": made by the compiler.
  return function.find('.') == std::string_view::npos ||
         begins_with_any(function, {"runtime.", "internal/runtime/", "internal/abi.", "reflect.", "maps.clone",
                                    "type:", "type.", "internal/bytealg."});
}

const std::optional<arch::ArgumentFacts>& CallArguments::facts(const Frame& frame) {
  static const std::optional<arch::ArgumentFacts> kNone;
  const std::uint64_t key = frame.pc * 2 + (frame.exact ? 1 : 0);
  if (const auto found = known_.find(key); found != known_.end()) {
    return found->second;
  }
  if (known_.size() >= kMaxKnown) {
    return kNone;
  }
  std::optional<arch::ArgumentFacts> found;
  const elf::GoBinary& binary = *process_.binary;
  if (const auto function = binary.at(frame.entry - process_.bias)) {
    if (const auto code = binary.code(function->entry, function->end)) {
      const auto distance = [&](std::uint64_t address) {
        const auto row = binary.unwind_row(address);
        return row ? row->sp_delta : std::nullopt;
      };
      found = arch::argument_facts(*code, function->entry, distance, frame.pc - process_.bias, !frame.exact);
    }
  }
  return known_.emplace(key, found).first->second;
}

std::optional<std::uint64_t> CallArguments::value(const CallStack& stack, std::size_t i, std::size_t n) {
  return value(stack, i, n, kMostCallers);
}

std::optional<std::uint64_t> CallArguments::value(const CallStack& stack, std::size_t i, std::size_t n, int depth) {
  if (i >= stack.frames.size() || n >= arch::kArguments) {
    return std::nullopt;
  }
  const Frame& frame = stack.frames[i];
  if (const auto& own = facts(frame)) {
    if (i == 0 && frame.exact && stack.registers != nullptr && own->registers[n] != 0) {
      return stack.registers->general[static_cast<std::size_t>(std::countr_zero(own->registers[n]))];
    }
    if (own->slot[n] && frame.cfa != 0) {
      return stack.word(frame.cfa + 8 * n);
    }
  }
  if (depth == 0 || i + 1 >= stack.frames.size()) {
    return std::nullopt;
  }
  // What its caller gave it. A caller that was interrupted, or stands on another stack, called something else.
  const Frame& caller = stack.frames[i + 1];
  const auto& theirs = facts(caller);
  if (!theirs || caller.exact || caller.system_stack != frame.system_stack) {
    return std::nullopt;
  }
  const arch::KnownWord passed = theirs->passed[n];
  const auto at = static_cast<std::uint64_t>(passed.at);
  switch (passed.kind) {
    case arch::KnownWord::Kind::kArgument:
      return value(stack, i + 1, at, depth - 1);
    case arch::KnownWord::Kind::kStackAddress:
      return caller.cfa == 0 ? std::nullopt : std::optional(caller.cfa + at);
    case arch::KnownWord::Kind::kStackWord:
      return caller.cfa == 0 ? std::nullopt : stack.word(caller.cfa + at);
    case arch::KnownWord::Kind::kNothing:
      break;
  }
  return std::nullopt;
}

std::optional<arch::Candidate> CallArguments::map_function(const Frame& frame) const {
  const auto function = process_.binary->at(frame.entry - process_.bias);
  const auto candidate = function ? arch::find_candidate(function->name) : std::nullopt;
  return candidate && candidate->arg != MW_ARG_NONE ? candidate : std::nullopt;
}

MapArguments CallArguments::map_arguments(const CallStack& stack, std::size_t i, mw_arg arg) {
  const auto argument = [&](std::size_t n) { return value(stack, i, n).value_or(0); };
  const elf::Offsets& offsets = process_.binary->offsets();
  MapArguments found;
  switch (arg) {
    case MW_ARG_FUNC:
      found.type = argument(0);
      found.map = argument(1);
      break;
    case MW_ARG_METHOD:
      found.map = argument(0);
      found.type = argument(1);
      break;
    case MW_ARG_ITER_INIT:
      found.iterator = argument(0);
      found.type = argument(1);
      found.map = argument(2);
      break;
    case MW_ARG_ITER:
      found.iterator = argument(0);
      if (found.iterator != 0) {
        found.map = stack.word(found.iterator + offsets.iter_map).value_or(0);
        found.type = stack.word(found.iterator + offsets.iter_type).value_or(0);
      }
      break;
    case MW_ARG_NONE:
      break;
  }
  return found;
}

}  // namespace mapwatch::forensics
