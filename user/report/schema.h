// What the JSON form looks like, for machines.
#pragma once

#include <string_view>

namespace mapwatch::report {

/// A JSON Schema (draft 2020-12) of the objects that `-o json` prints of findings: hazard, crash, lost, summary.
std::string_view json_schema();

}  // namespace mapwatch::report
