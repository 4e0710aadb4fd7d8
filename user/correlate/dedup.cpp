#include "correlate/dedup.h"

#include <algorithm>

namespace mapwatch::correlate {

Dedup::Entry& Dedup::entry(const Key& key) {
  const auto found = index_.find(key);
  if (found != index_.end()) {
    entries_.splice(entries_.end(), entries_, found->second);
    return *found->second;
  }
  if (!entries_.empty() && entries_.size() >= max_entries_) {
    index_.erase({entries_.front().fingerprint, entries_.front().tgid});
    entries_.pop_front();
    ++forgotten_;
  }
  entries_.push_back({.fingerprint = key.fingerprint, .tgid = key.tgid});
  index_.emplace(key, std::prev(entries_.end()));
  if (!known_.contains(key.fingerprint)) {
    ++distinct_;
    if (known_.size() < max_entries_) {
      known_.insert(key.fingerprint);
    }
  }
  return entries_.back();
}

Dedup::Verdict Dedup::see(std::uint32_t tgid, std::uint64_t fingerprint, Severity severity, std::uint64_t time_ns) {
  Entry& seen = entry({fingerprint, tgid});
  ++seen.count;
  const bool first = seen.count == 1;
  const bool raised = !first && severity > seen.severity;
  seen.severity = first ? severity : std::max(seen.severity, severity);
  const bool round = first || seen.count == 10 || seen.count == 100 || seen.count == 1000;
  // Events of two CPUs may come slightly out of order: time may step back.
  const bool due = time_ns > seen.printed_at_ns && time_ns - seen.printed_at_ns >= repeat_ns_;
  const bool print = round || raised || due;
  if (print) {
    seen.printed_at_ns = std::max(seen.printed_at_ns, time_ns);
  }
  return {seen.count, seen.severity, print};
}

void Dedup::forget_process(std::uint32_t tgid) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->tgid == tgid) {
      index_.erase({it->fingerprint, it->tgid});
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace mapwatch::correlate
