// Any text as a config file, as suppressions, as a value of a flag.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/listen_address.h"
#include "cli/config_file.h"
#include "cli/values.h"
#include "report/suppressions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mapwatch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)cli::parse_config(text, "fuzz");
  (void)cli::parse_duration(text);
  (void)cli::parse_size(text);
  (void)cli::parse_percent(text);
  (void)cli::parse_bool(text);
  (void)parse_listen_address(text);
  auto rules = report::Suppressions::parse(text, "fuzz");
  if (rules) {
    report::HazardReport hazard;
    (void)rules->hides(hazard);
  }
  const std::size_t half = size / 2;
  (void)report::matches_pattern(text.substr(0, half), text.substr(half));
  return 0;
}
