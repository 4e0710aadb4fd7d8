#include "arch/candidates.h"

#include <algorithm>
#include <array>

namespace mapwatch::arch {
namespace {

struct Entry {
  std::string_view name;
  Candidate candidate;
};

constexpr Candidate func(mw_op op) { return {op, MW_ARG_FUNC, {}}; }
constexpr Candidate method(mw_op op) { return {op, MW_ARG_METHOD, {}}; }
constexpr Candidate iterator() { return {MW_OP_ITERATE, MW_ARG_ITER, {}}; }

constexpr std::string_view kPartOfIteration = "only the steps of an iteration call it, and they are probed";

// Sorted by name.
constexpr std::array kEntries = {
    Entry{"internal/runtime/maps.(*Iter).Init", {MW_OP_ITERATE, MW_ARG_ITER_INIT, {}}},
    Entry{"internal/runtime/maps.(*Iter).Next", iterator()},
    Entry{"internal/runtime/maps.(*Map).Clear", method(MW_OP_CLEAR)},
    Entry{"internal/runtime/maps.(*Map).Clone", method(MW_OP_CLONE)},
    Entry{"internal/runtime/maps.(*Map).Delete", method(MW_OP_DELETE)},
    Entry{"internal/runtime/maps.fatal", {MW_OP_FATAL, MW_ARG_NONE, {}}},
    Entry{"maps.clone", func(MW_OP_CLONE)},  // takes an interface: its words are type and map, as in runtime.map*
    Entry{"reflect.mapIterNext", iterator()},
    Entry{"reflect.mapIterStart", func(MW_OP_ITERATE)},
    Entry{"reflect.mapaccess", func(MW_OP_READ)},
    Entry{"reflect.mapaccess_faststr", func(MW_OP_READ)},
    Entry{"reflect.mapassign", func(MW_OP_WRITE)},
    Entry{"reflect.mapassign0", func(MW_OP_WRITE)},
    Entry{"reflect.mapassign_faststr", func(MW_OP_WRITE)},
    Entry{"reflect.mapassign_faststr0", func(MW_OP_WRITE)},
    Entry{"reflect.mapclear", func(MW_OP_CLEAR)},
    Entry{"reflect.mapdelete", func(MW_OP_DELETE)},
    Entry{"reflect.mapdelete_faststr", func(MW_OP_DELETE)},
    Entry{"reflect.mapiterinit", func(MW_OP_ITERATE)},
    Entry{"reflect.mapiternext", iterator()},
    Entry{"runtime.fatal", {MW_OP_FATAL, MW_ARG_NONE, {}}},
    Entry{"runtime.mapIterNext", iterator()},
    Entry{"runtime.mapIterStart", func(MW_OP_ITERATE)},
    Entry{"runtime.mapaccess1", func(MW_OP_READ)},
    Entry{"runtime.mapaccess1_fast32", func(MW_OP_READ)},
    Entry{"runtime.mapaccess1_fast64", func(MW_OP_READ)},
    Entry{"runtime.mapaccess1_faststr", func(MW_OP_READ)},
    Entry{"runtime.mapaccess1_fat", func(MW_OP_READ)},
    Entry{"runtime.mapaccess2", func(MW_OP_READ)},
    Entry{"runtime.mapaccess2_fast32", func(MW_OP_READ)},
    Entry{"runtime.mapaccess2_fast64", func(MW_OP_READ)},
    Entry{"runtime.mapaccess2_faststr", func(MW_OP_READ)},
    Entry{"runtime.mapaccess2_fat", func(MW_OP_READ)},
    Entry{"runtime.mapaccessK", {MW_OP_READ, MW_ARG_FUNC, kPartOfIteration}},
    Entry{"runtime.mapassign", func(MW_OP_WRITE)},
    Entry{"runtime.mapassign_fast32", func(MW_OP_WRITE)},
    Entry{"runtime.mapassign_fast32ptr", func(MW_OP_WRITE)},
    Entry{"runtime.mapassign_fast64", func(MW_OP_WRITE)},
    Entry{"runtime.mapassign_fast64ptr", func(MW_OP_WRITE)},
    Entry{"runtime.mapassign_faststr", func(MW_OP_WRITE)},
    Entry{"runtime.mapclear", func(MW_OP_CLEAR)},
    Entry{"runtime.mapclone2", func(MW_OP_CLONE)},
    Entry{"runtime.mapdelete", func(MW_OP_DELETE)},
    Entry{"runtime.mapdelete_fast32", func(MW_OP_DELETE)},
    Entry{"runtime.mapdelete_fast64", func(MW_OP_DELETE)},
    Entry{"runtime.mapdelete_faststr", func(MW_OP_DELETE)},
    Entry{"runtime.mapiterinit", func(MW_OP_ITERATE)},
    Entry{"runtime.mapiternext", iterator()},
    Entry{"runtime.throw", {MW_OP_THROW, MW_ARG_NONE, {}}},
};

static_assert(std::is_sorted(kEntries.begin(), kEntries.end(),
                             [](const Entry& left, const Entry& right) { return left.name < right.name; }));

}  // namespace

std::optional<Candidate> find_candidate(std::string_view name) {
  const auto at = std::lower_bound(kEntries.begin(), kEntries.end(), name,
                                   [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; });
  if (at == kEntries.end() || at->name != name) {
    return std::nullopt;
  }
  Candidate found = at->candidate;
  found.name = at->name;
  return found;
}

}  // namespace mapwatch::arch
