#include "app/export.h"

#include <unistd.h>

#include <fmt/format.h>

#include "base/log.h"
#include "base/write_all.h"
#include "cli/completion.h"
#include "cli/usage.h"
#include "report/schema.h"

namespace mapwatch::app {
namespace {

Result<std::string> text_of(const std::vector<std::string>& what) {
  if (what.front() == "completion") {
    return cli::completion(what.back());
  }
  if (what.front() == "schema") {
    return std::string(report::json_schema());
  }
  return cli::usage(fmt::format("export: there is no {}", what.front()), "completion SHELL, or schema");
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
