// Globs over executables, as SQL and Prometheus understand them.
#pragma once

#include <string>
#include <string_view>

namespace mapwatch::ops {

/// A PromQL string, quotes included, of a regular expression that matches what the glob does (*, ?, [..]); of an empty
/// one: all.
std::string promql_regex(std::string_view glob);

}  // namespace mapwatch::ops
