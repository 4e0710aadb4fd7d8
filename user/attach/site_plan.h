// Call sites in place of functions: a hot call can then be left alone while all the others stay watched.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "arch/call_sites.h"
#include "arch/candidates.h"
#include "attach/plan.h"
#include "elf/go_binary.h"

namespace mapwatch::attach {

/// A function that operates on maps: what call sites are looked for.
struct MapFunction {
  arch::Candidate candidate;
  std::uint64_t entry = 0;
  std::uint32_t index = 0;  ///< in the program's functions
};

/// Which of its calls count, and what becomes of the functions.
struct SiteChoice {
  std::vector<bool> armed;          ///< by index of CallSites::calls
  std::vector<bool> keeps_probe;    ///< by index of the map functions: their function probe stays
  std::vector<Omission> omissions;  ///< of each map function: how it is counted, or why its calls are not
};

/// The planner's core (docs/probe-sites.md, "Call sites"). Every chain of calls from the program to a map function
/// passes exactly one probe. `maps` by entry, as the targets of `found`; `probed[i]`: the function plan has a probe on
/// maps[i].
SiteChoice choose_sites(std::span<const MapFunction> maps, const arch::CallSites& found,
                        const std::vector<bool>& probed, std::span<const elf::Function> functions);

/// Plans the call-site probes of `binary`, and the function probes of `functions` (its function plan) that stay: those
/// of functions that are reached otherwise, and the end of the process. Errors: kMalformed of find_call_sites;
/// kUnsupported beyond MW_MAX_SITES. The specs refer to names in `binary`.
Result<Plan> plan_call_sites(const elf::GoBinary& binary, const Plan& functions);

/// True for the functions that Go runs before main.main and never again: "net/http.init", "main.init.0",
/// "unicode.map.init.0". (cmd/compile/internal/pkginit, staticinit; a closure in one may live on and is none.)
bool is_package_initialiser(std::string_view name);

}  // namespace mapwatch::attach
