// --suppressions FILE: hazards that the user knows of, in the form of ThreadSanitizer's files.
//
//   race:main.(*cache).put            # any frame of either side        reason, until=2027-01-01
//   race_top:^example.com/app.Load$   # the first user frame of either side
//   type:map[string]*main.Session     # the map's type
//   exe:/srv/app/orders               # the executable's path
//
// A pattern matches anywhere in the name unless it begins with ^ or ends with $; * stands for any text. After the day
// in `until=` the line counts no more. Crashes are facts and never suppressed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "report/report.h"

namespace mapwatch::report {

/// True when `pattern` (*, ^ and $ as above) matches `text`.
bool matches_pattern(std::string_view pattern, std::string_view text);

class Suppressions {
 public:
  struct Rule {
    enum class Kind { kRace, kRaceTop, kType, kExe };
    Kind kind = Kind::kRace;
    std::string pattern;
    std::string reason;                    ///< the comment behind the rule
    std::optional<std::int64_t> until_ns;  ///< wall-clock end of the last day on which it counts
    int line = 0;
    std::uint64_t used = 0;  ///< hazards that it hid
  };

  Suppressions() = default;
  /// Errors: kUsage with the line number for what is not understood.
  static Result<Suppressions> parse(std::string_view text, const std::string& name);
  /// Reads `path`; an empty path gives no rules.
  static Result<Suppressions> load(const std::string& path);

  /// True when a rule hides `hazard`; counts it there.
  bool hides(const HazardReport& hazard);
  const std::vector<Rule>& rules() const { return rules_; }

 private:
  std::vector<Rule> rules_;
};

}  // namespace mapwatch::report
