#include "cli/config_keys.h"

#include <fmt/format.h>

#include "cli/usage.h"

namespace mapwatch::cli {

namespace {

constexpr std::string_view kTarget = "target";

std::string keys_for_targets(InTarget use) {
  std::string names;
  for (const FlagSpec& flag : flags()) {
    if (flag.in_target == use) {
      names += (names.empty() ? "" : ", ") + std::string(flag.name);
    }
  }
  return names;
}

}  // namespace

Result<const FlagSpec*> flag_of_key(const ConfigEntry& entry, const std::string& where, const std::string& prefix) {
  const FlagSpec* flag = find_flag(prefix + entry.key);
  if (flag == nullptr) {
    std::vector<std::string_view> known;
    for (const FlagSpec& spec : flags()) {
      if (spec.name.starts_with(prefix)) {
        known.push_back(spec.name.substr(prefix.size()));
      }
    }
    const std::string meant = nearest(entry.key, known);
    return usage(fmt::format("{}: unknown key {}", where, entry.key),
                 meant.empty() ? "keys are the long names of flags: see mapwatch watch --help"
                               : fmt::format("did you mean {}?", meant));
  }
  if (flag->kind != FlagKind::kList && entry.values.size() != 1) {
    return usage(fmt::format("{}: {} takes one value", where, entry.key));
  }
  return flag;
}

Result<TargetRules> target_rules(const std::vector<ConfigSection>& sections,
                                 const std::function<std::string(const FlagSpec&)>& stronger) {
  TargetRules out;
  for (const ConfigSection& section : sections) {
    TargetRule rule;
    rule.where = fmt::format("{}:{}", section.file, section.line);
    if (section.name != kTarget) {
      return usage(fmt::format("{}: unknown section {}", rule.where, section.name), std::string(kSectionsThere));
    }
    SettingSection shown{"[[target]]", rule.where, {}};
    bool selects = false;
    bool sets = false;
    for (const ConfigEntry& entry : section.entries) {
      const std::string where = fmt::format("{}:{}", section.file, entry.line);
      const FlagSpec* flag = TRY(flag_of_key(entry, where));
      if (flag->in_target == InTarget::kNot) {
        return usage(fmt::format("{}: {} is the same for all targets", where, entry.key),
                     fmt::format("put it above the first [[target]]; in one: {} to name processes, and {}",
                                 keys_for_targets(InTarget::kSelects), keys_for_targets(InTarget::kSets)));
      }
      Options options;
      for (const std::string& value : entry.values) {
        if (auto set = flag->set(options, value); !set) {
          return usage(fmt::format("{}: {}: {}", where, entry.key, set.error().message), set.error().hint);
        }
      }
      const std::string winner = stronger(*flag);
      shown.settings.push_back({flag, entry.values, where});
      if (flag->in_target == InTarget::kSelects) {
        selects = selects || !entry.values.empty();
        rule.names.insert(rule.names.end(), options.names.begin(), options.names.end());
        rule.exe_globs.insert(rule.exe_globs.end(), options.exe_globs.begin(), options.exe_globs.end());
        rule.cgroup = options.cgroup.empty() ? rule.cgroup : options.cgroup;
        continue;
      }
      sets = true;
      if (!winner.empty()) {
        shown.settings.back().origin += fmt::format(", not used: {} is stronger", winner);
      } else if (flag->name == "budget") {
        rule.budget = options.budget;
      } else if (flag->name == "sample") {
        rule.sample = options.sample;
      } else {
        rule.dwell_ns = options.dwell_ns;
      }
    }
    if (!selects || !sets) {
      return usage(fmt::format("{}: this [[target]] {}", rule.where, selects ? "sets nothing" : "names no process"),
                   fmt::format("give {} to name processes, and {}", keys_for_targets(InTarget::kSelects),
                               keys_for_targets(InTarget::kSets)));
    }
    out.rules.push_back(std::move(rule));
    out.settings.push_back(std::move(shown));
  }
  return out;
}

}  // namespace mapwatch::cli
