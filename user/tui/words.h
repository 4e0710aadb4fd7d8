// Numbers in few cells.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tui/snapshot.h"

namespace mapwatch::tui {

/// "0", "0.3", "42", "9.0k", "812k", "1.2M": at most five cells.
std::string short_count(double value);
/// The same with "~" in front when it is an estimate; "-" when it is not known.
std::string short_count(const std::optional<double>& value, bool estimated);
/// A share as percent without the sign: "0.04", "1.1", "97".
std::string percent(double share);
/// "3s", "12m", "2h04m", "2d04h".
std::string short_time(std::uint64_t ns);
/// "2/14/57": of the last minute, the last hour and all.
std::string tally_text(const Tally& tally);
/// "48M".
std::string short_bytes(std::uint64_t bytes);
/// "main.(*cache).put cache.go:7"; "?" when it was not captured.
std::string place_text(const std::string& func, const std::string& file, int line);
/// "1.8s", "never", "-" for a site that is not used.
std::string detection_text(const std::optional<std::uint64_t>& ns);

}  // namespace mapwatch::tui
