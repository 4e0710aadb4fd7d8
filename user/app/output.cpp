#include "app/output.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch::app {
namespace {

std::string_view kind_name(report::Suppressions::Rule::Kind kind) {
  using Kind = report::Suppressions::Rule::Kind;
  switch (kind) {
    case Kind::kRace:
      return "race";
    case Kind::kRaceTop:
      return "race_top";
    case Kind::kType:
      return "type";
    case Kind::kExe:
      return "exe";
  }
  return "race";
}

report::Format format_of(cli::Output output) {
  switch (output) {
    case cli::Output::kText:
      return report::Format::kText;
    case cli::Output::kCompact:
      return report::Format::kCompact;
    case cli::Output::kJson:
      return report::Format::kJson;
  }
  return report::Format::kText;
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool want_color(cli::When when, bool is_terminal, const std::function<std::string(const char*)>& env) {
  switch (when) {
    case cli::When::kAlways:
      return true;
    case cli::When::kNever:
      return false;
    case cli::When::kAuto:
      break;
  }
  if (!env("NO_COLOR").empty()) {
    return false;
  }
  const std::string force = env("CLICOLOR_FORCE");
  if (!force.empty() && force != "0") {
    return true;
  }
  const std::string term = env("TERM");
  return is_terminal && !term.empty() && term != "dumb";
}

report::WriterOptions writer_options(const cli::Options& options, int findings_fd) {
  report::WriterOptions writer;
  writer.format = format_of(options.output);
  writer.style.color = want_color(options.color, options.log_path.empty() && ::isatty(findings_fd) == 1, environment);
  writer.style.timestamps = options.timestamps;
  writer.style.strip_path_prefix = options.strip_path_prefix;
  writer.log_path = options.log_path;
  writer.findings_fd = findings_fd;
  writer.quiet = options.quiet;
  return writer;
}

report::PublisherOptions publisher_options(const cli::Options& options) {
  return {.max_reports = options.max_reports, .halt_on_first = options.halt_on_first};
}

std::string describe_suppressions(const report::Suppressions& suppressions, const std::string& file) {
  if (suppressions.rules().empty()) {
    return "";
  }
  std::size_t used = 0;
  std::string unused;
  for (const auto& rule : suppressions.rules()) {
    if (rule.used != 0) {
      ++used;
    } else {
      unused += fmt::format("{} {}:{} {}:{}", unused.empty() ? "; never:" : ",", file, rule.line, kind_name(rule.kind),
                            escape(rule.pattern));
    }
  }
  return fmt::format("{} of {} suppressions used{}", used, suppressions.rules().size(), unused);
}

}  // namespace mapwatch::app
