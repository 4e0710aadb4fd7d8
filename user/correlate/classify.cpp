#include <array>
#include <utility>

#include "correlate/correlator.h"

namespace mapwatch::correlate {

// The strings are those of runtime/map*.go (Go <= 1.23), internal/runtime/maps/*.go and runtime/map_swiss.go (Go >=
// 1.24). "small map with no empty slot" is what a lost race inside a Swiss group of 8 slots looks like (1.24-1.26).
std::optional<std::string> classify_map_fatal(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kClasses{{
      {"concurrent map writes", "write_write"},
      {"concurrent map read and map write", "read_write"},
      {"concurrent map iteration and map write", "iterate_write"},
      {"concurrent map clone and map write", "clone_write"},
      {"small map with no empty slot (concurrent map writes?)", "write_write"},
  }};
  for (const auto& [string, name] : kClasses) {
    if (text == string) {
      return std::string(name);
    }
  }
  return std::nullopt;
}

std::string_view classify_pair(mw_op one, mw_op other) {
  for (const auto& [op, name] : {std::pair<mw_op, std::string_view>{MW_OP_CLONE, "clone_write"},
                                 {MW_OP_ITERATE, "iterate_write"},
                                 {MW_OP_READ, "read_write"}}) {
    if (one == op || other == op) {
      return name;
    }
  }
  return "write_write";
}

bool mutates(mw_op op) { return op == MW_OP_WRITE || op == MW_OP_DELETE || op == MW_OP_CLEAR; }

}  // namespace mapwatch::correlate
