// The links that were asked for, from the asking for an attach to the report of the detach.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "govern/planner.h"

namespace mapwatch::govern {

struct LinkRecord {
  enum class Phase { kFree, kAttaching, kStanding, kDetaching };
  LinkId id = 0;
  Phase phase = Phase::kFree;
  Purpose purpose = Purpose::kAlways;
  std::vector<SiteId> sites;
  std::size_t depth = 0;  ///< kWindow
  double planned_ns = 0;  ///< kWindow: what its hits may cost
  std::uint64_t asked_ns = 0;
  std::uint64_t since_ns = 0;   ///< stands since
  std::uint64_t length_ns = 0;  ///< a trial or visit is over so long after since_ns
  std::uint64_t ended_ns = 0;   ///< detach asked for
  double cpu_ns = 0;            ///< that the group has used in all when it stood
  bool trusted = false;         ///< all of its sites are
  double cost_ns = 0;           ///< of its hits
  double last_cost_ns = 0;      ///< of its hits since the last sample
  bool patched() const { return phase != Phase::kFree; }
  bool armed() const { return phase == Phase::kStanding || phase == Phase::kAttaching; }
  std::uint64_t end_ns() const { return phase == Phase::kStanding ? since_ns + length_ns : UINT64_MAX; }
};

/// A link's id holds its slot: finding it costs nothing. Records stay where they are.
class Links {
  static constexpr unsigned kSlotBits = 12;

 public:
  /// At once.
  static constexpr std::size_t kMost = 1u << kSlotBits;

  LinkRecord& add() {
    std::size_t slot = 0;
    while (slot < records_.size() && records_[slot].phase != LinkRecord::Phase::kFree) {
      ++slot;
    }
    if (slot == records_.size()) {
      records_.emplace_back();
    }
    records_[slot] = {};
    serial_ = (serial_ + 1) % kSerials;
    records_[slot].id = (serial_ << kSlotBits | static_cast<LinkId>(slot)) + 1;
    return records_[slot];
  }
  /// nullptr: it is gone.
  LinkRecord* find(LinkId id) {
    const std::size_t slot = (id - 1) & (kMost - 1);
    return slot < records_.size() && records_[slot].id == id && records_[slot].patched() ? &records_[slot] : nullptr;
  }
  const LinkRecord* find(LinkId id) const { return const_cast<Links*>(this)->find(id); }
  std::deque<LinkRecord>& all() { return records_; }
  const std::deque<LinkRecord>& all() const { return records_; }

 private:
  static constexpr std::uint32_t kSerials = (1u << (32 - kSlotBits)) - 1;
  std::deque<LinkRecord> records_;
  std::uint32_t serial_ = 0;
};

}  // namespace mapwatch::govern
