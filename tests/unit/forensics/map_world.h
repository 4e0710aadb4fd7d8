// A target made of bytes: memory with holes, type descriptors and maps of both layouts, built without Go.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "forensics/go_hash.h"
#include "forensics/go_type.h"
#include "forensics/key_hasher.h"
#include "forensics/memory.h"

namespace mapwatch::forensics::test {

/// Memory of separate pieces; whatever is not in one of them cannot be read.
class FakeMemory final : public Memory {
 public:
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    bytes_asked += out.size();
    ++reads;
    auto piece = pieces_.upper_bound(address);
    if (piece == pieces_.begin()) {
      return false;
    }
    --piece;
    const std::uint64_t offset = address - piece->first;
    if (offset > piece->second.size() || piece->second.size() - offset < out.size()) {
      return false;
    }
    std::copy_n(piece->second.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return true;
  }
  std::span<const Mapping> mappings() const override { return {}; }

  /// A new piece of zeros with a hole behind it; its address.
  std::uint64_t piece(std::size_t size) {
    const std::uint64_t address = next_;
    next_ += (size + 0x1fff) & ~std::uint64_t{0xfff};
    pieces_[address].resize(size);
    return address;
  }
  template <typename T>
  void put(std::uint64_t address, T value) {
    auto piece = --pieces_.upper_bound(address);
    std::memcpy(piece->second.data() + (address - piece->first), &value, sizeof value);
  }
  /// One byte, if there is one at `address`.
  void poke(std::uint64_t address, std::uint8_t value) {
    auto piece = pieces_.upper_bound(address);
    if (piece != pieces_.begin() && address - (--piece)->first < piece->second.size()) {
      piece->second[address - piece->first] = value;
    }
  }
  std::uint64_t end() const { return next_; }
  template <typename T>
  T at(std::uint64_t address) const {
    return get<T>(address).value();
  }
  std::uint64_t text(const std::string& text) {
    const std::uint64_t address = piece(text.size() + 1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      put(address + i, text[i]);
    }
    return address;
  }

  mutable std::uint64_t bytes_asked = 0;
  mutable std::uint64_t reads = 0;

 private:
  std::map<std::uint64_t, std::vector<std::uint8_t>> pieces_;
  std::uint64_t next_ = 0x10000;
};

/// Type descriptors in one piece of memory.
class World {
 public:
  explicit World(int minor, elf::MapKind kind);

  std::uint64_t type(GoKind kind, std::uint64_t size, const std::string& name, bool regular = true);
  std::uint64_t array(std::uint64_t element, std::uint64_t length, std::uint64_t size);
  std::uint64_t structure(const std::string& name, std::uint64_t size,
                          const std::vector<std::pair<std::string, std::pair<std::uint64_t, std::uint64_t>>>& fields);
  /// map[key]element with slots of these sizes; the key is hashed by the runtime function `hasher`.
  std::uint64_t map(std::uint64_t key, std::uint64_t key_size, std::uint64_t element, std::uint64_t element_size,
                    const std::string& name, const std::string& hasher);
  HashSource hashes() const;

  FakeMemory memory;
  TypeSpace space;
  HashKeys keys{};

 private:
  std::uint64_t take(std::size_t size);
  std::uint64_t name(const std::string& text);

  std::uint64_t used_ = 16;
  std::map<std::uint64_t, std::string> functions_;
};

/// map[int]int in buckets.
class BucketMap {
 public:
  /// 2^b buckets, and room for `overflow` overflow buckets right behind them, as Go allocates them.
  BucketMap(World& world, unsigned b, unsigned overflow);

  /// Inserts where the runtime would, growth aside.
  void insert(std::uint64_t key, std::uint64_t value);
  std::uint64_t bucket(std::uint64_t index) const { return buckets + index * kBucket; }
  std::uint64_t overflow_of(std::uint64_t bucket) const { return world_.memory.at<std::uint64_t>(bucket + kLink); }
  /// Makes the present buckets the old ones of a map that has just begun to double.
  void grow();

  static constexpr std::uint64_t kBucket = 8 + 64 + 64 + 8;
  static constexpr std::uint64_t kLink = kBucket - 8;
  static constexpr std::uint32_t kSeed = 0x1234567;
  std::uint64_t type = 0;
  std::uint64_t header = 0;
  std::uint64_t buckets = 0;

 private:
  World& world_;
  std::uint64_t free_ = 0;
};

/// map[int]int in Swiss tables, each with `groups` groups; 2^depth of them.
class SwissMap {
 public:
  SwissMap(World& world, unsigned depth, std::uint64_t groups);

  void insert(std::uint64_t key, std::uint64_t value);
  std::uint64_t table(std::uint64_t index) const { return world_.memory.at<std::uint64_t>(directory + index * 8); }
  std::uint64_t group(std::uint64_t table, std::uint64_t index) const {
    return world_.memory.at<std::uint64_t>(table + 16) + index * kGroup;
  }

  static constexpr std::uint64_t kGroup = 8 + 8 * 16;
  static constexpr std::uint64_t kSeed = 0x123456789abcdefULL;
  std::uint64_t type = 0;
  std::uint64_t header = 0;
  std::uint64_t directory = 0;

 private:
  World& world_;
  unsigned depth_;
  std::uint64_t groups_;
};

}  // namespace mapwatch::forensics::test
