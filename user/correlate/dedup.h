// Counts how often each hazard was seen in each process and says which sightings to print. Bounded.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <unordered_set>

#include "correlate/correlator.h"

namespace mapwatch::correlate {

class Dedup {
 public:
  struct Verdict {
    std::uint64_t count = 1;
    Severity severity = Severity::kProven;  ///< the highest this process showed for the fingerprint
    bool print = true;
  };

  Dedup(std::size_t max_entries, std::uint64_t repeat_ns) : max_entries_(max_entries), repeat_ns_(repeat_ns) {}

  Verdict see(std::uint32_t tgid, std::uint64_t fingerprint, Severity severity, std::uint64_t time_ns);
  void forget_process(std::uint32_t tgid);

  /// Different fingerprints so far, over all processes. Beyond the bound it may count one twice.
  std::uint64_t distinct() const { return distinct_; }
  /// Entries given up for room.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  struct Entry {
    std::uint64_t fingerprint = 0;
    std::uint32_t tgid = 0;
    Severity severity = Severity::kProven;
    std::uint64_t count = 0;
    std::uint64_t printed_at_ns = 0;
  };
  struct Key {
    std::uint64_t fingerprint = 0;
    std::uint32_t tgid = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>(key.fingerprint ^ (std::uint64_t{key.tgid} * 0x9e3779b97f4a7c15u));
    }
  };

  Entry& entry(const Key& key);

  std::size_t max_entries_;
  std::uint64_t repeat_ns_;
  std::list<Entry> entries_;  ///< least recently seen first
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> index_;
  std::unordered_set<std::uint64_t> known_;
  std::uint64_t distinct_ = 0;
  std::uint64_t forgotten_ = 0;
};

}  // namespace mapwatch::correlate
