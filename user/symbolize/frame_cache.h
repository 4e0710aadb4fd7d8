// Source frames by (binary, address), least recently used out first, under a byte limit. Not for two threads at once.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "elf/go_binary.h"

namespace mapwatch::symbolize {

class FrameCache {
 public:
  explicit FrameCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// nullptr when absent. Valid until the next put().
  const std::vector<elf::SourceFrame>* find(std::uint64_t binary, std::uint64_t address);
  void put(std::uint64_t binary, std::uint64_t address, std::vector<elf::SourceFrame> frames);
  /// All that is kept of a binary.
  void forget(std::uint64_t binary);

  std::size_t bytes() const { return bytes_; }
  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }

 private:
  struct Key {
    std::uint64_t binary = 0;
    std::uint64_t address = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>((key.address ^ (key.binary << 48)) * 0x9e3779b97f4a7c15u);
    }
  };
  struct Entry {
    Key key;
    std::vector<elf::SourceFrame> frames;
    std::size_t bytes = 0;
  };

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::list<Entry> entries_;  ///< least recently used first
  std::unordered_map<Key, std::list<Entry>::iterator, KeyHash> index_;
};

}  // namespace mapwatch::symbolize
