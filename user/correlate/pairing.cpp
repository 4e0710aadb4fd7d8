#include "correlate/pairing.h"

#include <utility>

namespace mapwatch::correlate {

using ingest::AccessEvent;

std::size_t Pairing::KeyHash::operator()(const Key& key) const {
  const std::uint64_t low = (std::uint64_t{key.slot} << 32) | key.generation;
  return static_cast<std::size_t>((low ^ (std::uint64_t{key.tgid} << 17)) * 0x9e3779b97f4a7c15u);
}

std::vector<Meeting> Pairing::add(const AccessEvent& half) {
  const Key key{half.head.tgid, half.slot, half.generation};
  Group& group = groups_[key];
  if (group.serial == 0) {
    group.serial = next_serial_++;
    group.since_ns = half.head.time_ns;
    arrivals_.push_back({key, group.since_ns, group.serial});
  }
  std::vector<Meeting> meetings;
  if (half.role == MW_ROLE_VISITOR) {
    if (group.watcher) {
      group.watcher_met = true;
      meetings.push_back({half, *group.watcher});
    } else {
      group.visitors.push_back(half);
      ++halves_;
    }
    return meetings;
  }
  if (group.watcher) {
    return meetings;  // the same watch told twice
  }
  group.watcher = half;
  ++halves_;
  for (AccessEvent& visitor : group.visitors) {
    group.watcher_met = true;
    meetings.push_back({std::move(visitor), half});
  }
  halves_ -= group.visitors.size();
  group.visitors.clear();
  return meetings;
}

void Pairing::take_out(const Arrival& arrival, std::vector<AccessEvent>& lone) {
  const auto found = groups_.find(arrival.key);
  if (found == groups_.end() || found->second.serial != arrival.serial) {
    return;
  }
  Group& group = found->second;
  halves_ -= group.visitors.size() + (group.watcher ? 1 : 0);
  if (group.watcher && !group.watcher_met) {
    lone.push_back(std::move(*group.watcher));
  }
  for (AccessEvent& visitor : group.visitors) {
    lone.push_back(std::move(visitor));
  }
  groups_.erase(found);
}

std::vector<AccessEvent> Pairing::expire(std::uint64_t not_after_ns) {
  std::vector<AccessEvent> lone;
  while (!arrivals_.empty() && arrivals_.front().since_ns <= not_after_ns) {
    take_out(arrivals_.front(), lone);
    arrivals_.pop_front();
  }
  return lone;
}

std::vector<AccessEvent> Pairing::evict_over() {
  std::vector<AccessEvent> lone;
  while (halves_ > max_halves_ && !arrivals_.empty()) {
    take_out(arrivals_.front(), lone);
    arrivals_.pop_front();
  }
  return lone;
}

std::vector<AccessEvent> Pairing::take_process(std::uint32_t tgid) {
  std::vector<AccessEvent> lone;
  for (const Arrival& arrival : arrivals_) {
    if (arrival.key.tgid == tgid) {
      take_out(arrival, lone);
    }
  }
  std::erase_if(arrivals_, [tgid](const Arrival& arrival) { return arrival.key.tgid == tgid; });
  return lone;
}

std::vector<const AccessEvent*> Pairing::waiting(std::uint32_t tgid) const {
  std::vector<const AccessEvent*> halves;
  for (const auto& [key, group] : groups_) {
    if (key.tgid != tgid) {
      continue;
    }
    if (group.watcher) {
      halves.push_back(&*group.watcher);
    }
    for (const AccessEvent& visitor : group.visitors) {
      halves.push_back(&visitor);
    }
  }
  return halves;
}

}  // namespace mapwatch::correlate
