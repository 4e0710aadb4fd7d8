#include "forensics/unwind.h"

#include <cstring>
#include <string_view>

namespace mapwatch::forensics {
namespace {

// A goroutine's stack holds at most 1 GiB (runtime.maxstacksize); an endless recursion tells nothing new after this.
constexpr std::size_t kMaxFrames = 1U << 17;
// Distinct addresses kept; a hostile process must not fill the memory.
constexpr std::size_t kMaxRows = 1U << 20;

// ucontext on a signal's frame: uc_flags, uc_link, uc_stack, then sigcontext, whose registers begin with r8
// (arch/x86/include/uapi/asm/{ucontext,sigcontext}.h).
constexpr std::uint64_t kContextBp = 40 + 10 * 8;
constexpr std::uint64_t kContextSp = 40 + 15 * 8;
constexpr std::uint64_t kContextPc = 40 + 16 * 8;

/// Functions that the runtime makes a goroutine call at any instruction (runtime.isInjectedCall).
bool injected(std::string_view name) {
  return name == "runtime.sigpanic" || name == "runtime.asyncPreempt" || name == "runtime.debugCallV2";
}

bool signal_entry(std::string_view name) { return name == "runtime.sigtramp" || name == "runtime.cgoSigtramp"; }

std::optional<ThreadRegisters> signal_context(const StackBytes& stack, std::uint64_t context) {
  const auto pc = stack.word(context + kContextPc);
  const auto sp = stack.word(context + kContextSp);
  const auto bp = stack.word(context + kContextBp);
  return pc && sp && bp ? std::optional(ThreadRegisters{*pc, *sp, *bp}) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> StackBytes::word(std::uint64_t address) const {
  if (!holds(address) || bytes.size() - (address - begin) < sizeof(std::uint64_t)) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + (address - begin), sizeof(value));
  return value;
}

const elf::UnwindRow* Unwinder::row(std::uint64_t pc) {
  auto found = rows_.find(pc);
  if (found == rows_.end()) {
    if (rows_.size() >= kMaxRows) {
      rows_.clear();
    }
    found = rows_.emplace(pc, binary_.unwind_row(pc - bias_)).first;
  }
  return found->second ? &*found->second : nullptr;
}

Walk Unwinder::walk(const StackBytes& stack, const ThreadRegisters& start, bool exact) {
  Walk walk;
  std::uint64_t pc = start.pc;
  std::uint64_t sp = start.sp;
  if (pc == 0) {  // a call of a nil function: go on with its caller
    pc = stack.word(sp).value_or(0);
    sp += 8;
    exact = false;
  }
  std::optional<std::uint64_t> saved_bp;
  bool caller_has_frame = true;
  while (true) {
    if (walk.frames.size() == kMaxFrames) {
      walk.end = StackEnd::kTooDeep;
      return walk;
    }
    const elf::UnwindRow* now = row(pc);
    if (now == nullptr) {
      walk.end = StackEnd::kUnknownCode;
      return walk;
    }
    const std::uint64_t entry = now->function.entry + bias_;
    // Distances are below 2^31 and sp lies in the copied bytes, so this cannot wrap.
    const std::uint64_t cfa = sp + now->sp_delta.value_or(0) + 8;
    walk.frames.push_back({pc, now->sp_delta ? cfa : 0, entry, exact, false});
    if (signal_entry(now->function.name) && now->sp_delta) {
      // Its return address is the restorer's, Go's or the C library's; above that lies what the kernel saved.
      walk.interrupted = signal_context(stack, cfa);
      walk.end = walk.interrupted ? StackEnd::kSignal : StackEnd::kCut;
      return walk;
    }
    if (now->top) {
      walk.end = StackEnd::kTop;
      return walk;
    }
    // cgocallback switches by hand too, but keeps both stacks fit for unwinding (runtime/traceback.go).
    const bool switches = now->writes_sp && now->function.name != "runtime.cgocallback" && walk.frames.size() != 1;
    if (!now->sp_delta || switches) {
      walk.end = now->sp_delta ? StackEnd::kSwitch : StackEnd::kUnknownCode;
      return walk;
    }
    const auto caller = stack.word(cfa - 8);
    if (!caller) {
      walk.end = StackEnd::kCut;
      return walk;
    }
    const bool has_frame = *now->sp_delta >= 8 && !now->assembly;
    if (has_frame) {
      if (saved_bp && caller_has_frame) {
        (*saved_bp == cfa - 16 ? walk.frame_pointers_agree : walk.frame_pointers_differ) += 1;
      }
      saved_bp = stack.word(cfa - 16);
    }
    caller_has_frame = has_frame;
    if (*caller == 0) {
      walk.end = StackEnd::kTop;
      return walk;
    }
    exact = injected(now->function.name);
    pc = *caller;
    sp = cfa;
  }
}

}  // namespace mapwatch::forensics
