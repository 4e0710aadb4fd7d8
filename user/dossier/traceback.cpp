#include "dossier/traceback.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;
using forensics::GStatus;
using forensics::StackDoubt;

constexpr std::size_t kPiece = std::size_t{64} << 10;
// runtime.tracebackInnerFrames and tracebackOuterFrames from Go 1.21 on; _TracebackMaxFrames before (gentraceback).
constexpr std::size_t kInner = 50;
constexpr std::size_t kOuter = 50;
constexpr std::size_t kMaxFramesOld = 100;
constexpr int kTwoEnds = 21;
constexpr int kPrintsLabels = 27;

std::string_view doubt_text(StackDoubt doubt) {
  switch (doubt) {
    case StackDoubt::kNone:
      return "";
    case StackDoubt::kNoRegisters:
      return "(running; the registers of its thread are not known, so its stack is not)";
    case StackDoubt::kCopying:
      return "(its stack was being moved; frames are not known)";
    case StackDoubt::kTorn:
      return "(its stack could not be read)";
    case StackDoubt::kOdd:
      return "(its stack leads nowhere from here on)";
    case StackDoubt::kCut:
      return "(its stack is longer than what was copied)";
  }
  return "";
}

std::string frame_text(const NamedFrame& frame) {
  std::string text =
      fmt::format("{}(...)\n\t{}:{}", frame.func == "runtime.gopanic" ? "panic" : frame.func, frame.file, frame.line);
  if (frame.offset != 0) {
    text += fmt::format(" +{:#x}", frame.offset);
  }
  return text + "\n";
}

/// The logical frames that a traceback shows, of the first `limit` physical ones.
std::vector<const NamedFrame*> visible(const Goroutine& goroutine, FrameNames& names, bool all, std::size_t limit,
                                       std::vector<std::vector<NamedFrame>>& store) {
  std::vector<const NamedFrame*> lines;
  std::string callee;
  store.clear();
  store.reserve(goroutine.frames.size());
  for (const forensics::Frame& frame : goroutine.frames) {
    if (store.size() == limit) {
      break;
    }
    store.push_back(names.of(frame));
    for (const NamedFrame& one : store.back()) {
      if (all || (!frame.system_stack && shown(one, callee, lines.empty()))) {
        lines.push_back(&one);
      }
      callee = one.func;
    }
  }
  return lines;
}

std::string labels_text(const std::vector<forensics::Label>& labels) {
  const auto word = [](const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/' ||
             c == '_';
    });
    return plain ? text : fmt::format("\"{}\"", escape(text));
  };
  std::string text;
  for (const forensics::Label& label : labels) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", word(label.first), word(label.second));
  }
  return text.empty() ? text : " {" + text + "}";
}

}  // namespace

std::string state_text(const Goroutine& goroutine, int go_minor) {
  std::string text(forensics::status_text(goroutine, go_minor));
  if (goroutine.status == GStatus::kLeaked) {
    text += " (leaked)";
  }
  if (goroutine.scan) {
    text += " (scan)";
  }
  const std::uint64_t minutes = goroutine.waiting_ns / 60'000'000'000U;
  if (minutes >= 1) {
    text += fmt::format(", {} minutes", minutes);
  }
  if (goroutine.locked_to_thread) {
    text += ", locked to thread";
  }
  return text;
}

std::string stack_text(const Goroutine& goroutine, FrameNames& names, const TracebackStyle& style, bool with_parent) {
  const bool two_ends = names.go_minor() >= kTwoEnds;
  const std::size_t limit = two_ends ? goroutine.frames.size() : kMaxFramesOld;
  std::vector<std::vector<NamedFrame>> store;
  auto lines = visible(goroutine, names, style.system, limit, store);
  if (lines.empty()) {  // as runtime.traceback1: rather the runtime's frames than none
    lines = visible(goroutine, names, true, limit, store);
  }
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i == kInner && two_ends && lines.size() > kInner + kOuter) {
      const std::size_t left_out = lines.size() - kInner - kOuter;
      text += fmt::format("...{} frames elided...\n", left_out);
      i += left_out;
    }
    text += frame_text(*lines[i]);
  }
  // The old limit counts physical frames, the line of it logical ones that were printed.
  if (!two_ends && lines.size() == kMaxFramesOld) {
    text += "...additional frames elided...\n";
  }
  if (goroutine.doubt != StackDoubt::kNone) {
    text += fmt::format("{}\n", doubt_text(goroutine.doubt));
  }
  const NamedFrame creator = names.creator(goroutine.go_pc);
  if (!creator.func.empty() && goroutine.id != 1 && (style.system || !creator.runtime)) {
    text +=
        fmt::format("created by {}{}\n\t{}:{}", creator.func,
                    with_parent && goroutine.parent_id != 0 ? fmt::format(" in goroutine {}", goroutine.parent_id) : "",
                    creator.file, creator.line);
    text += creator.offset != 0 ? fmt::format(" +{:#x}\n", creator.offset) : "\n";
  }
  return text;
}

void write_traceback(const forensics::Goroutines& goroutines, FrameNames& names, const TracebackStyle& style,
                     const TextSink& sink) {
  std::string text;
  const auto one = [&](const Goroutine& goroutine) {
    text += fmt::format("goroutine {} [{}]", goroutine.id, state_text(goroutine, names.go_minor()));
    if (names.go_minor() >= kPrintsLabels) {
      text += labels_text(goroutines.labels.at(goroutine.labels));
    }
    text += ":\n" + stack_text(goroutine, names, style, true) + "\n";
    if (text.size() >= kPiece) {
      sink(text);
      text.clear();
    }
  };
  const Goroutine* first = style.first == 0 ? nullptr : goroutines.find(style.first);
  if (first != nullptr) {
    one(*first);
  }
  for (const Goroutine& goroutine : goroutines.list) {
    if (&goroutine != first && (style.system || !names.system_goroutine(goroutine))) {
      one(goroutine);
    }
  }
  sink(text);
}

}  // namespace mapwatch::dossier
