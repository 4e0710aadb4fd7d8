// One thing that doctor looked at, and what came of it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mapwatch::app {

enum class CheckStatus {
  kOk,
  kWarn,  ///< it works, with a limit that is worth knowing
  kFail,  ///< nothing can be watched until this is mended
};

struct Check {
  std::string name;  ///< stable, for scripts: "kernel", "uprobe_multi"
  CheckStatus status = CheckStatus::kOk;
  std::string detail;  ///< what was found, and the cause where it is bad
  std::string remedy;  ///< empty when there is nothing to do
  /// hit_cost only: by class of instruction, what a hit of an empty program costs, ns of CPU time. 0: unknown.
  std::vector<std::pair<std::string_view, double>> ns_per_hit = {};
};

bool any_failed(const std::vector<Check>& checks);
std::string checks_text(const std::vector<Check>& checks);
/// One object a line, "kind":"doctor".
std::string checks_json(const std::vector<Check>& checks);

}  // namespace mapwatch::app
