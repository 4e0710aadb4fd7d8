#include "dossier/other_side.h"

#include <algorithm>

#include "symbolize/classify.h"

namespace mapwatch::dossier {
namespace {

using forensics::MapOperation;

// As many as an event of the kernel side has.
constexpr std::size_t kMostFrames = MW_MAX_STACK;

std::vector<symbolize::Frame> symbolized(const forensics::GoProcess& process, std::uint64_t address, std::uint64_t pc) {
  std::vector<symbolize::Frame> frames;
  for (elf::SourceFrame& source : process.binary->frames(address - process.bias)) {
    symbolize::Frame frame;
    frame.pc = pc;
    frame.offset = pc - process.bias - source.entry;
    frame.line = source.line;
    frame.inlined = source.inlined;
    frame.runtime = symbolize::is_runtime(source.func);
    frame.func = std::move(source.func);
    frame.file = std::move(source.file);
    frames.push_back(std::move(frame));
  }
  return frames;
}

std::vector<symbolize::Frame> stack_from(const forensics::Goroutine& goroutine, std::size_t first,
                                         const forensics::GoProcess& process) {
  std::vector<symbolize::Frame> stack;
  for (std::size_t i = first; i < std::min(goroutine.frames.size(), first + kMostFrames); ++i) {
    for (symbolize::Frame& frame : symbolized(process, goroutine.frames[i].lookup(), goroutine.frames[i].pc)) {
      stack.push_back(std::move(frame));
    }
  }
  if (stack.size() > 1 && stack.back().func == "runtime.goexit") {  // the bottom of every stack
    stack.pop_back();
  }
  symbolize::mark_user_frame(stack, process.binary->main_path());
  return stack;
}

}  // namespace

const MapOperation* other_inside(const forensics::MapUse& use, const forensics::Goroutines& goroutines,
                                 const report::CrashReport& report) {
  const MapOperation* best = nullptr;
  const auto rank = [&](const MapOperation& operation) {
    const std::uint64_t goid = goroutines.list[operation.goroutine].id;
    // What began after the crash is not what it died of; without a time it may be.
    return std::tuple(report.other && report.other->goid == goid, operation.began_ns <= report.time_ns,
                      operation.began_ns);
  };
  for (const MapOperation& operation : use.inside) {
    const bool fits = forensics::changes_map(operation.op) &&
                      operation.evidence != forensics::OperationEvidence::kSlot &&
                      goroutines.list[operation.goroutine].id != report.goid;
    if (fits && (best == nullptr || rank(operation) > rank(*best))) {
      best = &operation;
    }
  }
  return best;
}

void tell_other_side(const CrashFacts& facts, const CrashPicture& picture, const forensics::GoProcess& process,
                     report::CrashReport& report) {
  const MapOperation* operation = picture.use ? other_inside(*picture.use, *picture.goroutines, report) : nullptr;
  if (operation == nullptr || report.op == MW_OP_NONE) {
    if (picture.use && report.other && report.other->time_ns == 0) {
      const auto access = std::ranges::find(picture.use->accesses, report.other->goid, &forensics::MapAccess::goid);
      report.other->time_ns = access == picture.use->accesses.end() ? 0 : access->began_ns;
    }
    return;
  }
  const forensics::Goroutine& goroutine = picture.goroutines->list[operation->goroutine];
  report::AccessReport other;
  other.op = operation->op;
  other.attribution = correlate::Attribution::kInside;
  other.goid = goroutine.id;
  const auto thread = std::ranges::find(facts.threads, goroutine.thread, &ThreadState::own_tid);
  other.tid = thread == facts.threads.end() ? 0 : static_cast<std::uint32_t>(thread->tid);
  other.stack = stack_from(goroutine, operation->frame, process);
  other.stack_cut =
      goroutine.end == forensics::StackEnd::kCut || goroutine.frames.size() - operation->frame > kMostFrames;
  other.time_ns = operation->began_ns;
  if (goroutine.go_pc != 0 && goroutine.id != 1) {  // as report::build_access: the main goroutine's maker tells nothing
    auto creators = symbolized(process, goroutine.go_pc - 1, goroutine.go_pc);
    if (!creators.empty()) {
      other.created_by = std::move(creators.front());
    }
  }
  report.other = std::move(other);
}

}  // namespace mapwatch::dossier
