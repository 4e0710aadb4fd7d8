// What was seen of each map before a crash: who wrote to it, since when it is known to be raced on. Bounded.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "correlate/correlator.h"

namespace mapwatch::correlate {

struct MapRecord {
  std::uint32_t tgid = 0;
  std::uint64_t map = 0;
  std::uint64_t type = 0;
  std::uint64_t len = 0;
  std::uint64_t first_hazard_ns = 0;
  std::vector<Access> writers;  ///< the last access of each of the last few goroutines that wrote, newest first
};

class MapHistory {
 public:
  explicit MapHistory(std::size_t max_maps) : max_maps_(max_maps) {}

  void add(const Hazard& hazard);
  const MapRecord* find(std::uint32_t tgid, std::uint64_t map) const;
  void forget_process(std::uint32_t tgid);

 private:
  struct Key {
    std::uint32_t tgid = 0;
    std::uint64_t map = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>((key.map ^ (std::uint64_t{key.tgid} << 48)) * 0x9e3779b97f4a7c15u);
    }
  };

  std::size_t max_maps_;
  std::list<MapRecord> records_;  ///< least recently raced on first
  std::unordered_map<Key, std::list<MapRecord>::iterator, KeyHash> index_;
};

/// The last accesses of a process that were observed in hazards, to tell which map a crash is about.
class RecentAccesses {
 public:
  void add(const Access& access, std::uint64_t map);
  /// The map on which the goroutine `crash` was at the same call: its callers are the crashing stack's outermost
  /// frames, and it was there at most `within_ns` before. 0 when there was none.
  std::uint64_t map_of(const Access& crash, std::uint64_t within_ns) const;

 private:
  struct Entry {
    Access access;
    std::uint64_t map = 0;
  };
  std::vector<Entry> entries_;  ///< newest first
};

/// Puts `access` first among `writers` when it tells which goroutine wrote; one entry a goroutine, few in all.
void remember_writer(std::vector<Access>& writers, const Access& access);

}  // namespace mapwatch::correlate
