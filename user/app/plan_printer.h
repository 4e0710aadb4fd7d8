// Prints a probe plan: what `watch --dry-run` shows instead of attaching.
#pragma once

#include <string>

#include "attach/plan.h"

namespace mapwatch::app {

/// The plan as a table with the omissions below it, or as one JSON object a line ("probe", then "omission").
std::string plan_text(const attach::Plan& plan);
std::string plan_json(const attach::Plan& plan);

/// Writes one of them to stdout. kFailed when stdout cannot be written.
Result<void> print_plan(const attach::Plan& plan, bool json);

}  // namespace mapwatch::app
