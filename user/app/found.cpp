#include "app/found.h"

#include <algorithm>

#include "report/format.h"

namespace mapwatch::app {

namespace {

constexpr std::size_t kMostReports = 256;

tui::Side side_of(const report::AccessReport& access) {
  tui::Side side;
  side.op = report::op_word(access.op);
  if (const symbolize::Frame* frame = report::frame_of_interest(access.stack)) {
    side.func = frame->func;
    side.file = frame->file;
    side.line = frame->line;
  }
  return side;
}

tui::Tally tally(const Recent& recent, std::uint64_t all, std::uint64_t now_ns) {
  return {recent.last_minute(now_ns), recent.last_hour(now_ns), all};
}

std::uint64_t since(std::uint64_t then_ns, std::uint64_t now_ns) { return now_ns > then_ns ? now_ns - then_ns : 0; }

}  // namespace

Found::Process* Found::process(std::uint32_t tgid) {
  const auto found = processes_.find(tgid);
  if (found != processes_.end()) {
    return &found->second;
  }
  return processes_.size() < kMostProcesses ? &processes_[tgid] : nullptr;
}

void Found::keep(const std::optional<report::Report>& report) {
  if (!report || reports_.size() >= kMostReports) {
    return;
  }
  // A hazard is written again and again; the first time tells all.
  const auto* hazard = std::get_if<report::HazardReport>(&*report);
  if (hazard == nullptr || hazard->count == 1) {
    reports_.push_back(*report);
  }
}

void Found::note(const correlate::Finding& finding, report::Published outcome,
                 const std::optional<report::Report>& report) {
  if (outcome == report::Published::kSuppressed) {
    return;
  }
  const std::lock_guard lock(mutex_);
  keep(report);
  if (const auto* crash = std::get_if<correlate::Crash>(&finding)) {
    if (Process* of = process(crash->tgid)) {
      ++of->crashes;
      of->last_ns = crash->time_ns;
      of->crash = crash->reason;
      if (const auto* written = report ? std::get_if<report::CrashReport>(&*report) : nullptr) {
        of->info = written->process;
      }
    }
    return;
  }
  const auto& hazard = std::get<correlate::Hazard>(finding);
  Process* of = process(hazard.tgid);
  if (of == nullptr) {
    return;
  }
  ++of->count;
  of->recent.add(hazard.time_ns);
  of->last_ns = hazard.time_ns;
  of->severity = report::severity_word(hazard.severity);
  auto known = std::ranges::find(of->hazards, hazard.id, [](const Hazard& each) { return each.shown.id; });
  if (known == of->hazards.end()) {
    if (of->hazards.size() >= kMostHazards) {
      return;
    }
    of->hazards.emplace_back();
    known = of->hazards.end() - 1;
    known->shown.id = hazard.id;
    for (std::size_t i = 0; i < std::size(known->shown.sides); ++i) {
      known->shown.sides[i].op = report::op_word(hazard.accesses[i].op);
    }
  }
  ++known->count;
  known->recent.add(hazard.time_ns);
  known->last_ns = hazard.time_ns;
  known->shown.severity = of->severity;
  known->shown.map_addr = hazard.map;
  if (const auto* written = report ? std::get_if<report::HazardReport>(&*report) : nullptr) {
    known->shown.map_type = written->map.type;
    for (std::size_t i = 0; i < std::size(known->shown.sides); ++i) {
      known->shown.sides[i] = side_of(written->accesses[i]);
    }
  }
}

void Found::forget(std::uint32_t tgid) {
  const std::lock_guard lock(mutex_);
  processes_.erase(tgid);
}

void Found::fill(tui::Target& target, std::uint64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  const auto found = processes_.find(static_cast<std::uint32_t>(target.pid));
  if (found == processes_.end()) {
    return;
  }
  const Process& of = found->second;
  target.hazards = tally(of.recent, of.count, now_ns);
  target.crashes = of.crashes;
  target.crashed = of.crashes > 0;
  target.last_ns = since(of.last_ns, now_ns);
  if (target.crashed) {
    target.state = "CRASHED: " + of.crash;
  } else if (target.hazards.hour > 0) {
    target.state = "! " + of.severity;
  }
  target.found.clear();
  for (const Hazard& each : of.hazards) {
    tui::Hazard shown = each.shown;
    shown.seen = tally(each.recent, each.count, now_ns);
    shown.last_ns = since(each.last_ns, now_ns);
    target.found.push_back(std::move(shown));
  }
  std::ranges::sort(target.found, {}, &tui::Hazard::last_ns);
}

std::vector<report::ProcessInfo> Found::crashed() const {
  const std::lock_guard lock(mutex_);
  std::vector<report::ProcessInfo> out;
  for (const auto& [tgid, of] : processes_) {
    if (of.crashes > 0) {
      out.push_back(of.info);
      out.back().pid = tgid;
    }
  }
  return out;
}

std::vector<report::Report> Found::reports() const {
  const std::lock_guard lock(mutex_);
  return reports_;
}

}  // namespace mapwatch::app
