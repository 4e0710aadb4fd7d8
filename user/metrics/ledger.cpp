#include "metrics/ledger.h"

#include <algorithm>

#include "base/escape.h"

namespace mapwatch::metrics {

namespace {

constexpr std::string_view kOther = "other";

constexpr std::size_t kMostWord = 64;

}  // namespace

std::string exe_label(std::string_view exe) { return exe.empty() ? "unknown" : escape(exe, Ledger::kMostLabel); }

bool Ledger::make_room() {
  auto oldest = entries_.end();
  for (auto each = entries_.begin(); each != entries_.end(); ++each) {
    const Entry& entry = each->second;
    // One that ran at the last tick stays.
    if (!entry.found && entry.last_s < now_s_ && each->first != kOther &&
        (oldest == entries_.end() || entry.last_s < oldest->second.last_s)) {
      oldest = each;
    }
  }
  if (oldest == entries_.end()) {
    return false;
  }
  entries_.erase(oldest);
  return true;
}

Ledger::Entry& Ledger::entry(std::string_view exe) {
  const std::string label = exe_label(exe);
  const auto known = entries_.find(label);
  if (known != entries_.end()) {
    return known->second;
  }
  const bool room = entries_.size() < kMostExes || make_room();
  Entry& made = entries_[room ? label : std::string(kOther)];
  made.exe.label = room ? label : kOther;
  made.last_s = now_s_;
  return made;
}

void Ledger::hazard(std::string_view exe, std::uint32_t tgid, std::string_view id, std::string_view kind,
                    std::string_view severity) {
  const std::lock_guard lock(mutex_);
  Entry& of = entry(exe);
  of.found = true;
  if (const auto row = place_of(kKinds, kind), column = place_of(kSeverities, severity); row && column) {
    ++of.exe.hazards[*row][*column];
  }
  if (ids_.size() < kMostIds) {
    ids_.emplace(id);
  }
  lately_.try_emplace(tgid, Lately{std::string(exe)}).first->second.hazard = true;
}

void Ledger::suppressed(std::string_view exe) {
  const std::lock_guard lock(mutex_);
  Entry& of = entry(exe);
  of.found = true;
  ++of.exe.suppressed;
}

void Ledger::crash(std::string_view exe, std::uint32_t tgid, std::string_view reason,
                   std::optional<std::uint64_t> frozen_ns, bool dossier) {
  const std::lock_guard lock(mutex_);
  Entry& of = entry(exe);
  of.found = true;
  lately_.try_emplace(tgid, Lately{std::string(exe)});
  ++of.exe.crashes[place_of(kReasons, reason).value_or(kReasons.size() - 1)];
  ++dossiers_[dossier ? 0 : frozen_ns ? 1 : 2];
  if (frozen_ns) {
    frozen_.add(*frozen_ns);
  }
}

void Ledger::lost() {
  const std::lock_guard lock(mutex_);
  ++lost_;
}

void Ledger::tick(double now_s, std::span<const Process> processes) {
  const std::lock_guard lock(mutex_);
  const double passed = now_s_ > 0 ? std::max(now_s - now_s_, 0.0) : 0;
  now_s_ = now_s;
  for (auto& [label, each] : entries_) {
    each.exe.processes = 0;
    each.exe.infos.clear();
  }
  for (auto& [tgid, before] : seen_) {
    before.here = false;
  }
  for (const Process& process : processes) {
    if (const auto known = entries_.find(exe_label(process.exe)); known != entries_.end()) {
      known->second.last_s = now_s;
    }
  }
  for (const Process& process : processes) {
    Entry& of = entry(process.exe);
    Exe& exe = of.exe;
    of.last_s = now_s;
    // One that came since the last tick is counted from now on, unless something came to pass in it.
    const auto [seen, fresh] = seen_.try_emplace(process.tgid);
    const bool known = !fresh && seen->second.start_time == process.start_time;
    seen->second = {process.start_time, true};
    const auto lately = lately_.extract(process.tgid);
    exe.watched_s += known || lately ? passed : 0;
    exe.hazard_s += lately && lately.mapped().hazard ? passed : 0;
    // Of several, the one that uses up most of what it may.
    if (exe.processes == 0 || process.overhead * exe.budget > exe.overhead * process.budget) {
      exe.overhead = process.overhead;
      exe.budget = process.budget;
    }
    exe.seen_share = exe.processes == 0 ? process.seen_share : std::min(exe.seen_share, process.seen_share);
    ++exe.processes;
    if (exe.infos.size() < kMostInfos) {
      const std::string_view mode = process.mode;
      exe.infos.insert(
          {escape(process.go_version, kMostWord), escape(mode.substr(0, mode.find(' ')), kMostWord), "watched"});
    }
  }
  // Gone since: what they had happened within this time all the same.
  for (const auto& [tgid, lately] : lately_) {
    Exe& exe = entry(lately.exe).exe;
    exe.watched_s += passed;
    exe.hazard_s += lately.hazard ? passed : 0;
  }
  lately_.clear();
  std::erase_if(seen_, [](const auto& each) { return !each.second.here; });
  std::erase_if(entries_, [now_s](const auto& each) {
    const Entry& entry = each.second;
    return !entry.found && entry.exe.processes == 0 && now_s - entry.last_s > kForgetS;
  });
}

void Ledger::fill(Snapshot& snapshot) const {
  const std::lock_guard lock(mutex_);
  snapshot.exes.clear();
  for (const auto& [label, each] : entries_) {
    snapshot.exes.push_back(each.exe);
  }
  std::ranges::stable_partition(snapshot.exes, [](const Exe& exe) { return exe.label != kOther; });
  snapshot.hazard_sites = ids_.size();
  snapshot.dossiers = dossiers_;
  snapshot.frozen = frozen_;
  snapshot.lost[*place_of(kStages, "export")] = lost_;
}

}  // namespace mapwatch::metrics
