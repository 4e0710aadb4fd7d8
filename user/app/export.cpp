#include "app/export.h"

#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "base/write_all.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/usage.h"
#include "ops/exports.h"
#include "report/schema.h"

namespace mapwatch::app {
namespace {

struct Text {
  std::string_view name;
  std::string (*make)();
};

constexpr Text kTexts[] = {
    {"dashboard", ops::dashboard}, {"rules", ops::alert_rules},
    {"unit", ops::systemd_unit},   {"k8s", ops::kubernetes},
    {"man", cli::manual},          {"schema", [] { return std::string(report::json_schema()); }},
};

Result<std::string> text_of(const std::vector<std::string>& what) {
  if (what.front() == "completion") {
    return cli::completion(what.back());
  }
  const auto* found = std::ranges::find(kTexts, what.front(), &Text::name);
  if (found == std::end(kTexts)) {
    return cli::usage(fmt::format("export: there is no {}", what.front()), cli::see_help("export"));
  }
  return found->make();
}

Result<void> print(const std::vector<std::string>& what) {
  return write_all(STDOUT_FILENO, TRY(text_of(what)), "stdout");
}

}  // namespace

int run_export(const cli::Options& options) {
  const auto printed = print(options.export_what);
  if (!printed) {
    log::print_error(printed.error());
  }
  return printed ? 0 : log::exit_status(printed.error().kind);
}

}  // namespace mapwatch::app
