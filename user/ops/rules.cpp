#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ops/budget.h"
#include "ops/exports.h"

namespace mapwatch::ops {
namespace {

/// A budget that burns: as the objectives of ops/slo.h, for every executable.
struct Budget {
  std::string_view name;     ///< in the names of the series
  std::string_view alert;    ///< in the names of the alerts
  std::string_view allowed;  ///< what uses the budget up in just its window
  std::string_view unit;     ///< of `allowed`
  std::string_view bad;      ///< counter of what is not to be, by executable
  std::string_view per;      ///< what makes a second of watching to the unit
  std::string_view summary;
};

constexpr Budget kBudgets[] = {
    {"hazards", "Hazards", "0.001", "of the time watched: 99.9 % of it without concurrent map access",
     "mapwatch_hazard_seconds_total", "", "concurrent map access uses up the error budget"},
    {"crashes", "Crashes", "0.1", "crashes of a process in a day", "mapwatch_crashes_total", "86400 * ",
     "crashes use up the error budget"},
};

constexpr std::uint64_t kSlowS = 86'400;  // such spans are worked out less often

std::string span(std::uint64_t seconds) {
  if (seconds % 86'400 == 0) {
    return fmt::format("{}d", seconds / 86'400);
  }
  return seconds % 3'600 == 0 ? fmt::format("{}h", seconds / 3'600) : fmt::format("{}m", seconds / 60);
}

std::string series(const Budget& budget, std::uint64_t span_s) {
  return fmt::format("exe:mapwatch_{}:burn{}", budget.name, span(span_s));
}

std::string recorded(const Budget& budget, std::uint64_t span_s) {
  return fmt::format(R"(      - record: {}
        expr: >-
          {}sum by (exe) (rate({}[{}]))
          / (sum by (exe) (rate(mapwatch_watched_seconds_total[{}])) > 0)
          / scalar(mapwatch:{}:allowed)
)",
                     series(budget, span_s), budget.per, budget.bad, span(span_s), span(span_s), budget.name);
}

std::string alert(const Budget& budget, const BurnRule& rule) {
  return fmt::format(R"(      - alert: Mapwatch{}BurnBudget
        expr: >-
          {} >= {}
          and {} >= {}
        labels:
          severity: {}
          window: {}
        annotations:
          summary: "{{{{ $labels.exe }}}}: {}"
          description: "{{{{ $value | humanize }}}} times as fast as is allowed over {}, and over {}, too (limit {}). Which places of the program: mapwatch's findings of {{{{ $labels.exe }}}}, or mapwatch dossier ls on its hosts."
)",
                     budget.alert, series(budget, rule.long_s), rule.factor, series(budget, rule.short_s), rule.factor,
                     rule.page ? "page" : "ticket", span(rule.long_s), budget.summary, span(rule.long_s),
                     span(rule.short_s), rule.factor);
}

/// One group: the series of its rules' spans, then the alerts. What stands above is there when what stands below is
/// evaluated.
std::string group(bool slow) {
  std::string text;
  for (const Budget& budget : kBudgets) {
    for (const BurnRule& rule : kBurnRules) {
      if ((rule.long_s >= kSlowS) == slow) {
        // 6h is the long span of one rule and the short one of another.
        const bool twice = std::ranges::find(kBurnRules, rule.short_s, &BurnRule::long_s) != kBurnRules.end();
        text += (twice ? "" : recorded(budget, rule.short_s)) + recorded(budget, rule.long_s);
      }
    }
    for (const BurnRule& rule : kBurnRules) {
      if ((rule.long_s >= kSlowS) == slow) {
        text += alert(budget, rule);
      }
    }
  }
  return text;
}

std::string allowances() {
  std::string text;
  for (const Budget& budget : kBudgets) {
    text += fmt::format("      - record: mapwatch:{}:allowed\n        expr: vector({}) # {}\n", budget.name,
                        budget.allowed, budget.unit);
  }
  return text;
}

constexpr std::string_view kFindings =
#include "ops/rules.inc"
    ;

}  // namespace

std::string alert_rules() {
  return fmt::format(
             R"(# Prometheus rules of mapwatch {}: `mapwatch export rules`. MapwatchDown asks for a job of the name mapwatch.
groups:
  - name: mapwatch-budgets
    rules:
      # What is allowed. To allow something else change it here.
{}{}
  - name: mapwatch-budgets-slow
    interval: 2m
    rules:
{})",
             MAPWATCH_VERSION, allowances(), group(false), group(true)) +
         std::string(kFindings);
}

}  // namespace mapwatch::ops
