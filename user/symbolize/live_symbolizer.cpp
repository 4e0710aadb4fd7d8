#include "symbolize/live_symbolizer.h"

#include <algorithm>
#include <utility>

#include "symbolize/classify.h"

namespace mapwatch::symbolize {
namespace {

Frame unknown_frame(std::uint64_t pc) {
  Frame frame;
  frame.func.assign(1, '?');
  frame.pc = pc;
  return frame;
}

}  // namespace

std::uint64_t LiveSymbolizer::serial_of(const std::shared_ptr<const elf::BinarySource>& binary) {
  std::erase_if(known_, [this](const Known& known) {
    if (!known.binary.expired()) {
      return false;
    }
    cache_.forget(known.serial);
    cache_bytes_ = cache_.bytes();
    return true;
  });
  const auto found = std::ranges::find_if(known_, [&](const Known& known) { return known.binary.lock() == binary; });
  if (found != known_.end()) {
    return found->serial;
  }
  known_.push_back({binary, next_serial_});
  return next_serial_++;
}

void LiveSymbolizer::add_process(std::uint32_t tgid, std::shared_ptr<const elf::BinarySource> binary,
                                 std::uint64_t load_bias) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t serial = serial_of(binary);
  processes_[tgid] = {std::move(binary), serial, load_bias};
}

void LiveSymbolizer::forget_process(std::uint32_t tgid) {
  const std::lock_guard lock(mutex_);
  processes_.erase(tgid);
}

const LiveSymbolizer::Process* LiveSymbolizer::find(std::uint32_t tgid) const {
  const auto found = processes_.find(tgid);
  return found == processes_.end() ? nullptr : &found->second;
}

void LiveSymbolizer::append(const Process* process, const elf::GoBinary* binary, std::uint64_t pc,
                            std::uint64_t instruction, std::vector<Frame>& frames) {
  if (binary == nullptr || instruction < process->load_bias) {
    frames.push_back(unknown_frame(pc));
    return;
  }
  const std::uint64_t address = instruction - process->load_bias;
  const std::vector<elf::SourceFrame>* found = cache_.find(process->serial, address);
  std::vector<elf::SourceFrame> fresh;
  if (found == nullptr) {
    fresh = binary->frames(address);
    cache_.put(process->serial, address, fresh);
    cache_bytes_ = cache_.bytes();
    found = &fresh;
  }
  if (found->empty()) {
    frames.push_back(unknown_frame(pc));
    return;
  }
  for (const elf::SourceFrame& source : *found) {
    Frame frame;
    frame.func = source.func;
    frame.file = source.file;
    frame.line = source.line;
    frame.pc = pc;
    frame.offset = pc - process->load_bias - source.entry;
    frame.inlined = source.inlined;
    frame.runtime = is_runtime(source.func);
    frames.push_back(std::move(frame));
  }
}

std::vector<Frame> LiveSymbolizer::stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) {
  const std::lock_guard lock(mutex_);
  const Process* process = find(tgid);
  const auto binary = process == nullptr ? nullptr : process->binary->get();
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < pcs.size() && frames.size() < kMaxFrames; ++i) {
    // A return address may be the first instruction of another line, even of another function: look at the call.
    append(process, binary.get(), pcs[i], i == 0 || pcs[i] == 0 ? pcs[i] : pcs[i] - 1, frames);
  }
  // The bottom of every goroutine's stack; nobody called it, and Go does not print it either.
  if (frames.size() > 1 && frames.back().func == "runtime.goexit") {
    frames.pop_back();
  }
  mark_user_frame(frames, !binary ? "" : binary->main_path());
  return frames;
}

std::vector<Frame> LiveSymbolizer::at(std::uint32_t tgid, std::uint64_t pc) {
  const std::lock_guard lock(mutex_);
  const Process* process = find(tgid);
  const auto binary = process == nullptr ? nullptr : process->binary->get();
  std::vector<Frame> frames;
  append(process, binary.get(), pc, pc == 0 ? 0 : pc - 1, frames);
  if (frames.size() == 1 && frames[0].func == "?") {
    frames.clear();
  }
  mark_user_frame(frames, !binary ? "" : binary->main_path());
  return frames;
}

std::string LiveSymbolizer::type_name(std::uint32_t tgid, std::uint64_t address) {
  const std::lock_guard lock(mutex_);
  const Process* process = find(tgid);
  if (process == nullptr || address < process->load_bias) {
    return "";
  }
  const auto binary = process->binary->get();
  return binary ? binary->type_name(address - process->load_bias).value_or("") : "";
}

}  // namespace mapwatch::symbolize
