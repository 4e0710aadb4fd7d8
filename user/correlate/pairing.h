// Halves of overlaps waiting for each other. One watcher half may meet several visitors; each meeting is an overlap.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ingest/event.h"

namespace mapwatch::correlate {

/// Two halves with the same (slot, generation, process).
struct Meeting {
  ingest::AccessEvent visitor;
  ingest::AccessEvent watcher;
};

class Pairing {
 public:
  /// `max_halves` bounds what is kept; evict_over() makes room.
  explicit Pairing(std::size_t max_halves) : max_halves_(max_halves) {}

  /// Meetings that this half completes.
  std::vector<Meeting> add(const ingest::AccessEvent& half);

  /// Each of these takes halves out and gives those that met nobody, oldest first.
  std::vector<ingest::AccessEvent> expire(std::uint64_t not_after_ns);
  std::vector<ingest::AccessEvent> evict_over();
  std::vector<ingest::AccessEvent> take_process(std::uint32_t tgid);

  /// Halves of `tgid` that still wait.
  std::vector<const ingest::AccessEvent*> waiting(std::uint32_t tgid) const;

 private:
  struct Key {
    std::uint32_t tgid = 0;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Group {
    std::optional<ingest::AccessEvent> watcher;
    bool watcher_met = false;
    std::vector<ingest::AccessEvent> visitors;  ///< that met no watcher yet
    std::uint64_t since_ns = 0;
    std::uint64_t serial = 0;  ///< tells a group from a later one with the same key
  };
  struct Arrival {
    Key key;
    std::uint64_t since_ns = 0;
    std::uint64_t serial = 0;
  };

  void take_out(const Arrival& arrival, std::vector<ingest::AccessEvent>& lone);

  std::size_t max_halves_;
  std::size_t halves_ = 0;
  std::uint64_t next_serial_ = 1;
  std::unordered_map<Key, Group, KeyHash> groups_;
  std::deque<Arrival> arrivals_;  ///< oldest first, one per group
};

}  // namespace mapwatch::correlate
