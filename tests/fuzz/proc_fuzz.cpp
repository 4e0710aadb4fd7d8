// Any text as what /proc says: process names and paths are the target's own choice.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/escape.h"
#include "base/proc.h"
#include "base/time_namespace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mapwatch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)proc::parse_stat(text);
  (void)proc::parse_status(text);
  (void)proc::parse_cgroup(text);
  (void)proc::parse_maps_line(text);
  (void)proc::parse_cpu_list(text);
  (void)proc::parse_cpu_mask(text);
  (void)proc::parse_monotonic_offset(text);
  for (const char c : escape(text)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      __builtin_trap();  // nothing that moves a terminal's cursor may pass
    }
  }
  return 0;
}
