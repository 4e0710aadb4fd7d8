// Times as JSON has them.
#pragma once

#include <cstdint>
#include <string>

namespace mapwatch {

/// "2026-11-23T00:14:02.118004217Z": wall-clock nanoseconds as RFC 3339 in UTC.
std::string rfc3339(std::int64_t wall_ns);

}  // namespace mapwatch
