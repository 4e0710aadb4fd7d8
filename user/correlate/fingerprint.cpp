#include "correlate/fingerprint.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/fnv1a.h"

namespace mapwatch::correlate {
namespace {

/// FNV-1a, with a last mix (splitmix64's) because ids use the upper half only.
class Hash {
 public:
  void add(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) {
      state_.add(static_cast<std::uint8_t>(value >> (8 * i)));
    }
  }
  void add(std::string_view text) {
    add(text.size());
    state_.add(text);
  }
  std::uint64_t value() const {
    std::uint64_t mixed = state_.value();
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

 private:
  Fnv1a state_;
};

std::uint64_t hash_side(const ProcessContext& process, const Side& side) {
  Hash hash;
  hash.add(static_cast<std::uint64_t>(side.access->attribution));
  hash.add(side.type == 0 ? 0 : side.type - process.load_bias);
  for (const std::uint64_t pc : side.access->stack) {
    hash.add(pc - process.load_bias);
  }
  return hash.value();
}

}  // namespace

std::uint64_t fingerprint(const ProcessContext& process, const Side& one, const Side& two) {
  std::uint64_t sides[] = {hash_side(process, one), hash_side(process, two)};
  std::sort(std::begin(sides), std::end(sides));
  Hash hash;
  hash.add(process.build_id);
  hash.add(sides[0]);
  hash.add(sides[1]);
  return hash.value();
}

std::uint64_t crash_fingerprint(const ProcessContext& process, const std::vector<std::uint64_t>& stack,
                                std::string_view reason) {
  Hash hash;
  hash.add(process.build_id);
  hash.add(reason);
  for (const std::uint64_t pc : stack) {
    hash.add(pc - process.load_bias);
  }
  return hash.value();
}

std::string id_of(std::uint64_t fingerprint) { return fmt::format("mw-{:08x}", fingerprint >> 32); }

}  // namespace mapwatch::correlate
