// The scheduler at that moment, as tables.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "dossier/traceback.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;
using forensics::Machine;
using forensics::Processor;
using forensics::PStatus;

constexpr std::size_t kShownQueue = 8;

std::string_view status_word(PStatus status) {
  switch (status) {
    case PStatus::kIdle:
      return "idle";
    case PStatus::kRunning:
      return "running";
    case PStatus::kSyscall:
      return "syscall";
    case PStatus::kGcStop:
      return "gcstop";
    case PStatus::kDead:
      return "dead";
  }
  return "odd";
}

std::string gc_word(const forensics::Scheduler& scheduler) {
  if (!scheduler.gc_phase) {
    return "not known";
  }
  const char* phase = *scheduler.gc_phase == 0 ? "off" : *scheduler.gc_phase == 1 ? "mark" : "mark termination";
  return scheduler.gc_waiting
             ? fmt::format("{}, the world is being stopped ({} Ps to wait for)", phase, scheduler.stop_wait)
             : phase;
}

std::string dash(std::uint64_t number) { return number == 0 ? "-" : std::to_string(number); }

std::string queue_text(const Processor& p) {
  std::string text = std::to_string(p.queue.size());
  if (p.next != 0) {
    text += fmt::format(" +{} next", p.next);
  }
  for (std::size_t i = 0; i < std::min(p.queue.size(), kShownQueue); ++i) {
    text += fmt::format("{}{}", i == 0 ? ": " : ", ", dash(p.queue[i]));
  }
  return p.queue.size() > kShownQueue ? text + ", ..." : text;
}

std::string machine_words(const Machine& m, const Goroutine* goroutine) {
  std::vector<std::string> words;
  if (m.throwing != 0) {
    words.push_back("throwing");
  }
  if (m.in_c) {
    words.push_back("in C");
  }
  if (goroutine != nullptr && goroutine->status == forensics::GStatus::kSyscall) {
    words.push_back("in a system call");
  }
  if (m.spinning) {
    words.push_back("looking for work");
  }
  if (m.blocked) {
    words.push_back("asleep");
  }
  if (words.empty()) {
    words.push_back(m.goroutine != 0 ? "running" : m.thread == 0 ? "not started" : "in the runtime");
  }
  if (m.locked_goroutine != 0) {
    words.push_back(fmt::format("locked to goroutine {}", m.locked_goroutine));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

void write_scheduler(const forensics::Goroutines& goroutines, FrameNames& names, const TextSink& sink) {
  const forensics::Scheduler& s = goroutines.scheduler;
  std::string text = fmt::format(
      "{} goroutines ({} dead ones kept for reuse), {} threads, {} Ps; garbage collector: {}\n", goroutines.list.size(),
      goroutines.dead, goroutines.machines.size(), goroutines.processors.size(), gc_word(s));
  if (s.known) {
    text += fmt::format("global run queue {}, idle Ps {}, idle threads {}, threads looking for work {}\n",
                        s.global_queue, s.idle_ps, s.idle_ms, s.spinning_ms);
  }
  text += fmt::format("\n{:>4}  {:<8} {:>4} {:>9}  {:>10}  {}\n", "P", "status", "M", "goroutine", "tick", "run queue");
  for (const Processor& p : goroutines.processors) {
    text += fmt::format("{:>4}  {:<8} {:>4} {:>9}  {:>10}  {}\n", p.id, status_word(p.status),
                        p.m_id < 0 ? "-" : std::to_string(p.m_id), dash(p.goroutine), p.schedule_tick, queue_text(p));
  }
  text += fmt::format("\n{:>4}  {:>8} {:>4} {:>9}  {:<24}  {}\n", "M", "thread", "P", "goroutine", "state", "at");
  for (const Machine& m : goroutines.machines) {
    std::string where = "-";
    if (m.pc != 0) {
      const auto& frames = names.of({m.pc, 0, 0, true, false});
      where = frames.empty() ? "outside of Go code" : frames.front().func;
    }
    const Goroutine* goroutine = m.goroutine == 0 ? nullptr : goroutines.find(m.goroutine);
    text += fmt::format("{:>4}  {:>8} {:>4} {:>9}  {:<24}  {}\n", m.id, dash(m.thread),
                        m.p < 0 ? "-" : std::to_string(m.p), dash(m.goroutine), machine_words(m, goroutine), where);
  }
  for (const std::string& note : goroutines.notes) {
    text += fmt::format("note: {}\n", note);
  }
  sink(text);
}

}  // namespace mapwatch::dossier
