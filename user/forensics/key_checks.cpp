#include "forensics/key_checks.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "forensics/key_content.h"

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kMaxKey = 64 * 1024;
constexpr std::size_t kMaxMisplaced = 4096;

/// FNV-1a over words, then mixed (MurmurHash3's finalizer): only sorts keys before they are compared in full.
std::uint64_t fingerprint_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ text.size();
  while (!text.empty()) {
    std::uint64_t word = 0;
    const std::size_t taken = std::min<std::size_t>(8, text.size());
    std::memcpy(&word, text.data(), taken);
    hash = (hash ^ word) * 0x100000001b3ULL;
    hash ^= hash >> 29;
    text.remove_prefix(taken);
  }
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 33);
}

}  // namespace

KeyChecks::KeyChecks(TypeReader& types, const MapType& map, const HashSource& source, std::uint64_t seed,
                     bool narrow_window, FindingList& findings)
    : types_(types),
      map_(map),
      hasher_(types, map, source),
      prefetch_(types.memory(), map),
      seed_(seed),
      narrow_window_(narrow_window),
      findings_(findings) {
  statistics_.unavailable = hasher_.unavailable();
}

std::optional<std::span<const std::uint8_t>> KeyChecks::key_bytes(const Block& block, std::uint32_t slot,
                                                                  std::uint64_t& address) {
  const MapGeometry& g = map_.geometry;
  const auto inside = block.bytes.subspan(g.key_at(slot), g.key_slot_bytes);
  address = block.address + g.key_at(slot);
  if (!map_.indirect_key) {
    return inside;
  }
  std::memcpy(&address, inside.data(), sizeof address);
  if (map_.key->size > kMaxKey) {
    return std::nullopt;
  }
  boxed_.resize(map_.key->size);
  return types_.memory().read(address, boxed_) ? std::optional(std::span<const std::uint8_t>(boxed_)) : std::nullopt;
}

std::optional<std::uint64_t> KeyChecks::entry(const Block& block, std::uint32_t slot, const LazyText& where) {
  Entry entry;
  const auto key = key_bytes(block, slot, entry.key_address);
  content_.clear();
  const KeyContent content = key ? key_content(types_, prefetch_, *map_.key, *key, content_) : KeyContent::kUnreadable;
  if (content == KeyContent::kUnreadable) {
    findings_.add(MapDefect::kDanglingKey, entry.key_address,
                  fmt::format("{}: the key at {:#x} cannot be read", where(), entry.key_address));
  }
  if (!key) {
    ++statistics_.skipped;
    return std::nullopt;
  }
  if (content == KeyContent::kWhole) {
    seen_.push_back({fingerprint_of(content_), entry.key_address});
  }
  if (sink_) {
    entry.key = *key;
    const std::uint64_t at = map_.geometry.element_at(slot);
    entry.element_address = block.address + at;
    if (map_.indirect_element) {
      std::memcpy(&entry.element_address, block.bytes.data() + at, sizeof entry.element_address);
    }
    sink_(entry);
  }
  if (!hashes() || content != KeyContent::kWhole) {
    statistics_.skipped += hashes() ? 1 : 0;
    return std::nullopt;
  }
  // A string's content is its length and its bytes: it need not be read a second time.
  const auto text = std::span(reinterpret_cast<const std::uint8_t*>(content_.data()), content_.size());
  const auto hash =
      map_.key->kind == GoKind::kString ? hasher_.string_hash(text.subspan(8), seed_) : hasher_.hash(*key, seed_);
  ++(hash ? statistics_.computed : statistics_.skipped);
  return hash;
}

void KeyChecks::misplaced(MapDefect defect, std::uint64_t address, std::string text) {
  if (misplaced_.size() < kMaxMisplaced) {
    misplaced_.push_back({defect, address, std::move(text)});
  }
}

void KeyChecks::group_ends() {
  if (narrow_window_) {
    compare();
  }
}

void KeyChecks::compare() {
  std::ranges::sort(seen_, {}, [](const Seen& s) { return std::pair(s.fingerprint, s.key_address); });
  for (std::size_t i = 1; i < seen_.size(); ++i) {
    const Seen& a = seen_[i - 1];
    const Seen& b = seen_[i];
    if (a.fingerprint == b.fingerprint && equal(a.key_address, b.key_address)) {
      findings_.add(MapDefect::kDuplicateKey, b.key_address,
                    fmt::format("equal keys at {:#x} and {:#x}", a.key_address, b.key_address));
    }
  }
  seen_.clear();
}

bool KeyChecks::equal(std::uint64_t a, std::uint64_t b) {
  std::vector<std::uint8_t> bytes(map_.key->size);
  std::string contents[2];
  for (std::size_t i = 0; i < 2; ++i) {
    if (!types_.memory().read(i == 0 ? a : b, bytes) ||
        key_content(types_, types_.memory(), *map_.key, bytes, contents[i]) != KeyContent::kWhole) {
      return false;
    }
  }
  return contents[0] == contents[1];
}

void KeyChecks::finish() {
  compare();
  if (statistics_.computed == 0 || misplaced_.empty()) {
    return;
  }
  // A wrong idea of the hash function would make nearly every key look misplaced.
  if (statistics_.agree * 2 < statistics_.computed) {
    statistics_.unavailable = fmt::format("hashes not confirmed: only {} of {} keys lie where their hash leads",
                                          statistics_.agree, statistics_.computed);
    return;
  }
  for (Misplaced& each : misplaced_) {
    findings_.add(each.defect, each.address, std::move(each.text));
  }
}

}  // namespace mapwatch::forensics
