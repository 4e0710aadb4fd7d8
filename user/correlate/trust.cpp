#include "correlate/trust.h"

#include <variant>

#include <fmt/format.h>

namespace mapwatch::correlate {

namespace {

// Where the heap of a 64-bit Go program begins at the lowest (runtime/malloc.go, arena hints 0x00c0<<32, Go 1.11-1.27).
// A program that starts a million goroutines a second reaches ids of this size after nine days; a pointer read in place
// of an id has it at once.
constexpr std::uint64_t kLowestHeapAddress = 0xc000000000;

}  // namespace

std::optional<std::string> nonsense(const ingest::AccessEvent& event) {
  if (event.goid == 0) {
    return "the id of a goroutine that uses a map reads 0";
  }
  if (event.goid >= kLowestHeapAddress) {
    return fmt::format("the id of a goroutine reads {:#x}, which is more likely an address", event.goid);
  }
  const bool other_known = (event.flags & MW_ACCESS_OTHER_KNOWN) != 0;
  if (other_known && event.other_g != event.g && event.other_goid == event.goid) {
    return fmt::format("two goroutines (g {:#x} and {:#x}) both read as id {}", event.g, event.other_g, event.goid);
  }
  return std::nullopt;
}

std::optional<std::string> Trust::judge(const ingest::Event& event) {
  const auto* access = std::get_if<ingest::AccessEvent>(&event);
  if (access == nullptr || distrusts(access->head.tgid)) {
    return std::nullopt;
  }
  auto why = nonsense(*access);
  if (why) {
    distrusted_.insert(access->head.tgid);
  }
  return why;
}

}  // namespace mapwatch::correlate
