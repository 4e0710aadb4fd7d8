#include "forensics/map_world.h"

#include <bit>

namespace mapwatch::forensics::test {
namespace {

constexpr std::size_t kTypes = 1 << 16;

template <typename T>
void bump(FakeMemory& memory, std::uint64_t address, int by) {
  memory.put<T>(address, static_cast<T>(memory.at<T>(address) + by));
}

}  // namespace

World::World(int minor, elf::MapKind kind) {
  space = {minor, kind, memory.piece(kTypes), 0};
  space.end = space.begin + kTypes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i] = static_cast<std::uint8_t>(i * 37 + 11);
  }
}

std::uint64_t World::take(std::size_t size) {
  const std::uint64_t address = space.begin + used_;
  used_ += (size + 7) & ~std::size_t{7};
  return address;
}

std::uint64_t World::name(const std::string& text) {
  const std::uint64_t address = take(text.size() + 3);
  memory.put<std::uint8_t>(address + 1, static_cast<std::uint8_t>(text.size() & 0x7f));
  for (std::size_t i = 0; i < text.size(); ++i) {
    memory.put(address + 2 + i, text[i]);
  }
  return address;
}

std::uint64_t World::type(GoKind kind, std::uint64_t size, const std::string& text, bool regular) {
  const std::uint64_t name_address = name(text);
  const std::uint64_t address = take(136);
  memory.put(address, size);
  memory.put<std::uint8_t>(address + 20, regular ? 8 : 0);
  memory.put(address + 23, static_cast<std::uint8_t>(kind));
  memory.put(address + 40, static_cast<std::int32_t>(name_address - space.begin));
  return address;
}

std::uint64_t World::array(std::uint64_t element, std::uint64_t length, std::uint64_t size) {
  const std::uint64_t address = type(GoKind::kArray, size, "[]");
  memory.put(address + 48, element);
  memory.put(address + 64, length);
  return address;
}

std::uint64_t World::structure(
    const std::string& text, std::uint64_t size,
    const std::vector<std::pair<std::string, std::pair<std::uint64_t, std::uint64_t>>>& fields) {
  const std::uint64_t address = type(GoKind::kStruct, size, text);
  const std::uint64_t list = take(24 * fields.size());
  memory.put(address + 56, list);
  memory.put<std::uint64_t>(address + 64, fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    memory.put(list + 24 * i, name(fields[i].first));
    memory.put(list + 24 * i + 8, fields[i].second.first);
    memory.put(list + 24 * i + 16, space.minor < 19 ? fields[i].second.second << 1 : fields[i].second.second);
  }
  return address;
}

std::uint64_t World::map(std::uint64_t key, std::uint64_t key_size, std::uint64_t element, std::uint64_t element_size,
                         const std::string& text, const std::string& hasher) {
  const std::uint64_t address = type(GoKind::kMap, 8, text);
  memory.put(address + 48, key);
  memory.put(address + 56, element);
  const std::uint64_t closure = take(16);
  const std::uint64_t code = 0x7000 + closure;
  memory.put(closure, code);
  functions_[code] = hasher;
  memory.put(address + 72, closure);
  const std::uint64_t byte = type(GoKind::kUint8, 1, "uint8");
  const std::uint64_t word = type(GoKind::kUint64, 8, "uint64");
  if (space.maps == elf::MapKind::kBuckets) {
    const std::uint64_t size = 8 + 8 * key_size + 8 * element_size + 8;
    const std::uint64_t block = structure("bucket", size,
                                          {{"topbits", {array(byte, 8, 8), 0}},
                                           {"keys", {array(key, 8, 8 * key_size), 8}},
                                           {"elems", {array(element, 8, 8 * element_size), 8 + 8 * key_size}},
                                           {"overflow", {word, size - 8}}});
    memory.put(address + 64, block);
    memory.put(address + 80, static_cast<std::uint8_t>(key_size));
    memory.put(address + 81, static_cast<std::uint8_t>(element_size));
    memory.put(address + 82, static_cast<std::uint16_t>(size));
    return address;
  }
  const std::uint64_t slot_size = key_size + element_size;
  const std::uint64_t slot = structure("slot", slot_size, {{"key", {key, 0}}, {"elem", {element, key_size}}});
  const std::uint64_t group =
      structure("group", 8 + 8 * slot_size, {{"ctrl", {word, 0}}, {"slots", {array(slot, 8, 8 * slot_size), 8}}});
  memory.put(address + 64, group);
  memory.put(address + 80, 8 + 8 * slot_size);
  if (space.minor >= 27) {
    memory.put<std::uint64_t>(address + 88, 8);
    memory.put(address + 96, slot_size);
    memory.put(address + 104, 8 + key_size);
    memory.put(address + 112, slot_size);
  } else {
    memory.put(address + 88, slot_size);
    memory.put(address + 96, key_size);
  }
  return address;
}

HashSource World::hashes() const {
  return {keys, "", [this](std::uint64_t address) {
            const auto found = functions_.find(address);
            return found == functions_.end() ? std::string() : found->second;
          }};
}

BucketMap::BucketMap(World& world, unsigned b, unsigned overflow) : world_(world) {
  const std::uint64_t number = world.type(GoKind::kInt, 8, "int");
  type = world.map(number, 8, number, 8, "map[int]int", "runtime.memhash64");
  header = world.memory.piece(56);
  const std::uint64_t count = std::uint64_t{1} << b;
  buckets = world.memory.piece((count + overflow) * kBucket);
  free_ = bucket(count);
  world.memory.put(header + 9, static_cast<std::uint8_t>(b));
  world.memory.put(header + 12, kSeed);
  world.memory.put(header + 16, buckets);
}

void BucketMap::insert(std::uint64_t key, std::uint64_t value) {
  FakeMemory& memory = world_.memory;
  const std::uint64_t hash = go_memhash64(world_.keys, kSeed, key);
  const auto top = static_cast<std::uint8_t>(hash >> 56);
  const unsigned b = memory.at<std::uint8_t>(header + 9);
  std::uint64_t at = bucket(hash & ((std::uint64_t{1} << b) - 1));
  for (;;) {
    for (std::uint64_t slot = 0; slot < 8; ++slot) {
      if (memory.at<std::uint8_t>(at + slot) <= 1) {
        memory.put(at + slot, static_cast<std::uint8_t>(top < 5 ? top + 5 : top));
        memory.put(at + 8 + 8 * slot, key);
        memory.put(at + 72 + 8 * slot, value);
        bump<std::uint64_t>(memory, header, 1);
        return;
      }
    }
    if (overflow_of(at) == 0) {
      memory.put(at + kLink, free_);
      bump<std::uint16_t>(memory, header + 10, 1);
      free_ += kBucket;
    }
    at = overflow_of(at);
  }
}

void BucketMap::grow() {
  FakeMemory& memory = world_.memory;
  const unsigned b = memory.at<std::uint8_t>(header + 9);
  memory.put(header + 24, buckets);
  buckets = memory.piece((std::uint64_t{2} << b) * kBucket);
  memory.put(header + 16, buckets);
  memory.put(header + 9, static_cast<std::uint8_t>(b + 1));
  memory.put<std::uint16_t>(header + 10, 0);
}

SwissMap::SwissMap(World& world, unsigned depth, std::uint64_t groups) : world_(world), depth_(depth), groups_(groups) {
  FakeMemory& memory = world.memory;
  const std::uint64_t number = world.type(GoKind::kInt, 8, "int");
  type = world.map(number, 8, number, 8, "map[int]int", "runtime.memhash64");
  header = memory.piece(48);
  const std::uint64_t count = std::uint64_t{1} << depth;
  directory = memory.piece(count * 8);
  memory.put(header + 8, kSeed);
  memory.put(header + 16, directory);
  memory.put(header + 24, count);
  memory.put(header + 32, static_cast<std::uint8_t>(depth));
  memory.put(header + 33, static_cast<std::uint8_t>(64 - depth));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t table = memory.piece(32);
    const std::uint64_t data = memory.piece(groups * kGroup);
    memory.put(directory + i * 8, table);
    memory.put(table + 2, static_cast<std::uint16_t>(groups * 8));
    memory.put(table + 4, static_cast<std::uint16_t>(groups == 1 ? 7 : groups * 7));
    memory.put(table + 6, static_cast<std::uint8_t>(depth));
    memory.put(table + 8, i);
    memory.put(table + 16, data);
    memory.put(table + 24, groups - 1);
    for (std::uint64_t g = 0; g < groups; ++g) {
      memory.put(data + g * kGroup, std::uint64_t{0x8080808080808080});
    }
  }
}

void SwissMap::insert(std::uint64_t key, std::uint64_t value) {
  FakeMemory& memory = world_.memory;
  const std::uint64_t hash = go_memhash64(world_.keys, kSeed, key);
  const std::uint64_t to = table(depth_ == 0 ? 0 : hash >> (64 - depth_));
  std::uint64_t at = (hash >> 7) & (groups_ - 1);
  for (std::uint64_t step = 1;; ++step) {
    for (std::uint64_t slot = 0; slot < 8; ++slot) {
      const std::uint64_t here = group(to, at);
      if (memory.at<std::uint8_t>(here + slot) >= 0x80) {
        memory.put(here + slot, static_cast<std::uint8_t>(hash & 0x7f));
        memory.put(here + 8 + 16 * slot, key);
        memory.put(here + 16 + 16 * slot, value);
        bump<std::uint16_t>(memory, to, 1);
        bump<std::uint16_t>(memory, to + 4, -1);
        bump<std::uint64_t>(memory, header, 1);
        return;
      }
    }
    at = (at + step) & (groups_ - 1);
  }
}

}  // namespace mapwatch::forensics::test
