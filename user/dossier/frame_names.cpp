#include "dossier/frame_names.h"

#include <algorithm>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

// Distinct places kept. A program has far fewer that goroutines wait at.
constexpr std::size_t kMaxKnown = 1U << 18;
constexpr std::string_view kRuntime = "runtime.";

/// runtime.isExportedRuntime: "runtime.GC", "runtime.(*Func).Entry". Before Go 1.21 methods did not count.
bool exported_runtime(std::string_view name) {
  name.remove_prefix(kRuntime.size());
  const std::size_t dot = name.rfind('.');
  std::string_view receiver;
  if (dot != std::string_view::npos) {
    receiver = name.substr(0, dot);
    name.remove_prefix(dot + 1);
    if (receiver.size() >= 3 && receiver.starts_with("(*") && receiver.ends_with(')')) {
      receiver = receiver.substr(2, receiver.size() - 3);
    }
  }
  const auto upper = [](std::string_view word) { return !word.empty() && word[0] >= 'A' && word[0] <= 'Z'; };
  return upper(name) && (receiver.empty() || upper(receiver));
}

bool runtime_frame(std::string_view name) {
  if (name == "runtime.runFinalizers" || name == "runtime.runCleanups") {
    return false;
  }
  return name.find('.') == std::string_view::npos || (name.starts_with(kRuntime) && !exported_runtime(name));
}

}  // namespace

const std::vector<NamedFrame>& FrameNames::of(const forensics::Frame& frame) {
  const std::uint64_t key = frame.pc * 2 + (frame.lookup() == frame.pc ? 1 : 0);
  if (const auto known = known_.find(key); known != known_.end()) {
    return known->second;
  }
  if (known_.size() >= kMaxKnown) {
    known_.clear();
  }
  std::vector<NamedFrame> named;
  for (const elf::SourceFrame& source : binary_.frames(frame.lookup() - bias_)) {
    NamedFrame one;
    one.runtime = runtime_frame(source.func);
    one.func = escape(source.func);
    one.file = escape(source.file);
    one.line = source.line;
    one.inlined = source.inlined;
    one.wrapper = source.wrapper;
    one.offset = source.inlined ? 0 : frame.pc - bias_ - source.entry;
    named.push_back(std::move(one));
  }
  return known_.emplace(key, std::move(named)).first->second;
}

NamedFrame FrameNames::creator(std::uint64_t go_pc) const {
  NamedFrame frame;
  const auto function = binary_.at(go_pc - bias_);
  if (go_pc == 0 || !function) {
    return frame;
  }
  // The function that holds the code, also when the go statement was inlined into it: as runtime.printcreatedby1,
  // whose line is that of the innermost call.
  const std::uint64_t pc = go_pc - bias_;
  const auto frames = binary_.frames(pc > function->entry ? pc - 1 : pc);
  if (frames.empty()) {
    return frame;
  }
  frame.func = escape(frames.back().func);
  frame.runtime = runtime_frame(frames.back().func);
  frame.file = escape(frames.front().file);
  frame.line = frames.front().line;
  frame.offset = pc - function->entry;
  return frame;
}

bool FrameNames::system_goroutine(const forensics::Goroutine& goroutine) {
  const auto function = binary_.at(goroutine.start_pc - bias_);
  if (!function || !function->name.starts_with(kRuntime)) {
    return false;
  }
  const std::string_view name = function->name;
  if (name == "runtime.main" || name == "runtime.corostart" || name == "runtime.handleAsyncEvent") {
    return false;
  }
  if (name == "runtime.runfinq" || name == "runtime.runFinalizers" || name == "runtime.runCleanups") {
    // The program's own while it runs a finalizer of the program's.
    return std::ranges::all_of(goroutine.frames, [&](const forensics::Frame& frame) {
      const auto at = binary_.at(frame.entry - bias_);
      return !at || at->name.starts_with(kRuntime) || at->name.starts_with("reflect.");
    });
  }
  return true;
}

bool shown(const NamedFrame& frame, std::string_view callee, bool first) {
  // runtime.elideWrapperCalling
  const bool panics = callee == "runtime.gopanic" || callee == "runtime.sigpanic" || callee == "runtime.panicwrap";
  if (frame.wrapper && !panics) {
    return false;
  }
  return !frame.runtime || (frame.func == "runtime.gopanic" && !first);
}

}  // namespace mapwatch::dossier
