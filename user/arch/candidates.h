// The functions of Go's runtime that are operations on maps, or the end of the process: by name, for Go 1.17-1.27.
#pragma once

#include <optional>
#include <string_view>

#include "mapwatch/abi.h"

namespace mapwatch::arch {

struct Candidate {
  mw_op op = MW_OP_NONE;
  mw_arg arg = MW_ARG_NONE;
  /// Why it never gets a probe of its own, empty for the others.
  std::string_view never;
  std::string_view name = {};  ///< static storage
};

/// What the function of that pclntab name does; nullopt for all that are of no interest.
/// Sources: runtime/map*.go, runtime/linkname_swiss.go, internal/runtime/maps/{map,table,runtime*}.go,
/// reflect/value.go, reflect/map_*.go, maps/maps.go of Go 1.17-1.27.
std::optional<Candidate> find_candidate(std::string_view name);

}  // namespace mapwatch::arch
