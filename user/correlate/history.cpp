#include "correlate/history.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mapwatch::correlate {
namespace {
constexpr std::size_t kWritersKept = 4;
constexpr std::size_t kRecentKept = 8;

/// pc[0] is inside the map function in both, at different instructions; what called it must be the same.
bool same_call(const std::vector<std::uint64_t>& access, const std::vector<std::uint64_t>& crash) {
  return access.size() > 1 && crash.size() >= access.size() &&
         std::equal(access.begin() + 1, access.end(), crash.end() - static_cast<std::ptrdiff_t>(access.size() - 1));
}

}  // namespace

void remember_writer(std::vector<Access>& writers, const Access& access) {
  if (!mutates(access.op) || access.goid == 0) {
    return;
  }
  const auto same =
      std::find_if(writers.begin(), writers.end(), [&](const Access& writer) { return writer.goid == access.goid; });
  if (same != writers.end()) {
    // A whole stack says more than a newer single frame, and a frame more than a bare goroutine id.
    if (access.attribution > same->attribution) {
      return;
    }
    writers.erase(same);
  }
  writers.insert(writers.begin(), access);
  if (writers.size() > kWritersKept) {
    writers.pop_back();
  }
}

void RecentAccesses::add(const Access& access, std::uint64_t map) {
  if (access.attribution != Attribution::kObserved) {
    return;
  }
  std::erase_if(entries_, [&](const Entry& entry) { return entry.access.g == access.g; });
  entries_.insert(entries_.begin(), {access, map});
  if (entries_.size() > kRecentKept) {
    entries_.pop_back();
  }
}

std::uint64_t RecentAccesses::map_of(const Access& crash, std::uint64_t within_ns) const {
  for (const Entry& entry : entries_) {
    const Access& access = entry.access;
    if (access.g == crash.g && access.goid == crash.goid && access.time_ns <= crash.time_ns &&
        crash.time_ns - access.time_ns <= within_ns && same_call(access.stack, crash.stack)) {
      return entry.map;
    }
  }
  return 0;
}

void MapHistory::add(const Hazard& hazard) {
  const Key key{hazard.tgid, hazard.map};
  const auto found = index_.find(key);
  if (found != index_.end()) {
    records_.splice(records_.end(), records_, found->second);
  } else {
    if (!records_.empty() && records_.size() >= max_maps_) {
      index_.erase({records_.front().tgid, records_.front().map});
      records_.pop_front();
    }
    MapRecord fresh;
    fresh.tgid = hazard.tgid;
    fresh.map = hazard.map;
    fresh.first_hazard_ns = hazard.time_ns;
    records_.push_back(std::move(fresh));
    index_.emplace(key, std::prev(records_.end()));
  }
  MapRecord& record = records_.back();
  record.type = hazard.map_type != 0 ? hazard.map_type : record.type;
  record.len = hazard.map_len;
  remember_writer(record.writers, hazard.accesses[1]);
  remember_writer(record.writers, hazard.accesses[0]);
}

const MapRecord* MapHistory::find(std::uint32_t tgid, std::uint64_t map) const {
  const auto found = index_.find({tgid, map});
  return found == index_.end() ? nullptr : &*found->second;
}

void MapHistory::forget_process(std::uint32_t tgid) {
  for (auto it = records_.begin(); it != records_.end();) {
    if (it->tgid == tgid) {
      index_.erase({it->tgid, it->map});
      it = records_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace mapwatch::correlate
