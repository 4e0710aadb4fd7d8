#include "report/suppressions.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include <fmt/format.h>

#include "base/guarded_file.h"
#include "base/read_all.h"
#include "base/unique_fd.h"
#include "report/format.h"

namespace mapwatch::report {
namespace {

using Rule = Suppressions::Rule;

constexpr std::size_t kMaxFileBytes = 1 << 20;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// "2027-01-01" -> the first nanosecond after that day, UTC.
std::optional<std::int64_t> end_of_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') {
    return std::nullopt;
  }
  const auto year = number(text.substr(0, 4));
  const auto month = number(text.substr(5, 2));
  const auto day = number(text.substr(8, 2));
  if (!year || !month || !day || *month < 0 || *day < 0) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 1970 || *year > 2200) {
    return std::nullopt;
  }
  return std::chrono::nanoseconds(std::chrono::sys_days(date).time_since_epoch() + std::chrono::days(1)).count();
}

std::optional<Rule::Kind> kind_of(std::string_view name) {
  if (name == "race") {
    return Rule::Kind::kRace;
  }
  if (name == "race_top") {
    return Rule::Kind::kRaceTop;
  }
  if (name == "type") {
    return Rule::Kind::kType;
  }
  if (name == "exe") {
    return Rule::Kind::kExe;
  }
  return std::nullopt;
}

/// Where a comment begins: a '#' at the start or after a blank, for a pattern may hold one.
std::size_t comment_start(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return i;
    }
  }
  return line.size();
}

Result<std::optional<Rule>> parse_line(std::string_view line) {
  const std::size_t hash = comment_start(line);
  const std::string_view body = trim(line.substr(0, hash));
  if (body.empty()) {
    return std::nullopt;
  }
  const std::size_t colon = body.find(':');
  const auto kind = colon == std::string_view::npos ? std::nullopt : kind_of(body.substr(0, colon));
  if (!kind) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not race:, race_top:, type: or exe:", body));
  }
  Rule rule;
  rule.kind = *kind;
  rule.pattern = trim(body.substr(colon + 1));
  if (rule.pattern.empty()) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' has no pattern", body));
  }
  if (hash < line.size()) {
    rule.reason = trim(line.substr(hash + 1));
  }
  constexpr std::string_view kUntil = "until=";
  const std::size_t until = rule.reason.find(kUntil);
  if (until != std::string::npos) {
    const std::string_view rest = std::string_view(rule.reason).substr(until + kUntil.size());
    const std::string_view date = rest.substr(0, rest.find_first_of(" \t,;"));
    rule.until_ns = end_of_day(date);
    if (!rule.until_ns) {
      return fail(ErrorKind::kUsage, fmt::format("until={} is no date (YYYY-MM-DD)", date));
    }
  }
  return rule;
}

bool any_frame(const HazardReport& hazard, std::string_view pattern) {
  return std::any_of(std::begin(hazard.accesses), std::end(hazard.accesses), [&](const AccessReport& access) {
    return std::any_of(access.stack.begin(), access.stack.end(),
                       [&](const symbolize::Frame& frame) { return matches_pattern(pattern, frame.func); });
  });
}

bool top_frame(const HazardReport& hazard, std::string_view pattern) {
  return std::any_of(std::begin(hazard.accesses), std::end(hazard.accesses), [&](const AccessReport& access) {
    const symbolize::Frame* frame = frame_of_interest(access.stack);
    return frame != nullptr && matches_pattern(pattern, frame->func);
  });
}

bool applies(const Rule& rule, const HazardReport& hazard) {
  if (rule.until_ns && hazard.wall_ns >= *rule.until_ns) {
    return false;
  }
  switch (rule.kind) {
    case Rule::Kind::kRace:
      return any_frame(hazard, rule.pattern);
    case Rule::Kind::kRaceTop:
      return top_frame(hazard, rule.pattern);
    case Rule::Kind::kType:
      return matches_pattern(rule.pattern, hazard.map.type);
    case Rule::Kind::kExe:
      return matches_pattern(rule.pattern, hazard.process.exe);
  }
  return false;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  const bool from_start = pattern.starts_with('^');
  const bool to_end = pattern.ends_with('$') && pattern.size() > (from_start ? 1u : 0u);
  std::string glob;
  glob += from_start ? "" : "*";
  glob += pattern.substr(from_start ? 1 : 0, pattern.size() - (from_start ? 1 : 0) - (to_end ? 1 : 0));
  glob += to_end ? "" : "*";
  // Greedy with one point to come back to: at most |glob| * |text| steps on any input.
  std::size_t g = 0;
  std::size_t t = 0;
  std::size_t star = std::string::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', g) == std::string::npos;
}

Result<Suppressions> Suppressions::parse(std::string_view text, const std::string& name) {
  Suppressions suppressions;
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    auto rule = parse_line(text.substr(0, end));
    if (!rule) {
      return fail(ErrorKind::kUsage, fmt::format("{}:{}: {}", name, line, rule.error().message),
                  "write race:FUNCTION, race_top:FUNCTION, type:TYPE or exe:PATH, and comments behind #");
    }
    if (*rule) {
      (*rule)->line = line;
      suppressions.rules_.push_back(std::move(**rule));
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return suppressions;
}

Result<Suppressions> Suppressions::load(const std::string& path) {
  if (path.empty()) {
    return Suppressions();
  }
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info = {};
  if (!file || ::fstat(file.get(), &info) != 0) {
    return fail(ErrorKind::kUsage, fmt::format("--suppressions {}: cannot be read", path), "name a readable file");
  }
  if (everybody_writes(info)) {
    return fail(ErrorKind::kUsage, fmt::format("--suppressions {}: everybody may write to it", path),
                fmt::format("chmod o-w {}", path));
  }
  const auto text = read_all(file.get(), kMaxFileBytes + 1);
  if (!text || text->size() > kMaxFileBytes) {
    return fail(ErrorKind::kUsage, fmt::format("--suppressions {}: cannot be read, or is larger than 1 MiB", path));
  }
  return parse(*text, path);
}

bool Suppressions::hides(const HazardReport& hazard) {
  for (Rule& rule : rules_) {
    if (applies(rule, hazard)) {
      ++rule.used;
      return true;
    }
  }
  return false;
}

}  // namespace mapwatch::report
