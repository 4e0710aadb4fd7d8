#include "app/dossier.h"

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/dossier_export.h"
#include "app/state_dir.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/write_all.h"
#include "dossier/store.h"

namespace mapwatch::app {
namespace {

using Json = nlohmann::ordered_json;

/// A text of a report, or "-": the file may be missing, or have been changed by anybody who could.
std::string word(const Json& json, const char* pointer) {
  const Json::json_pointer at(pointer);
  return json.is_object() && json.contains(at) && json[at].is_string() ? json[at].get<std::string>() : "-";
}

Result<void> print(const std::string& text) { return write_all(STDOUT_FILENO, text, "stdout"); }

Result<int> list(const cli::Options& options) {
  const auto store = dossier::Store::open(state_dir(options), false);
  if (!store && store.error().kind != ErrorKind::kGone) {
    return tl::unexpected(store.error());
  }
  const auto entries = store ? TRY(store->list()) : std::vector<dossier::DossierEntry>();
  std::string text;
  for (const dossier::DossierEntry& entry : entries) {
    const auto file = store->read(entry.id, "report.json");
    const Json report = Json::parse(file ? *file : "", nullptr, false);
    if (options.output == cli::Output::kJson) {
      const Json line = {{"schema_version", 1},
                         {"kind", "dossier"},
                         {"id", entry.id},
                         {"path", store->path_of(entry.id)},
                         {"bytes", entry.bytes},
                         {"time", word(report, "/time")},
                         {"reason", word(report, "/reason")},
                         {"exe", word(report, "/process/exe")}};
      text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    } else {
      text += fmt::format("{:<44} {:>7} KiB  {}  {}\n", entry.id, (entry.bytes + 1023) / 1024,
                          escape(word(report, "/reason")), escape(word(report, "/process/exe")));
    }
  }
  if (text.empty() && options.output != cli::Output::kJson) {
    text = fmt::format("no dossiers in {}\n", escape(state_dir(options)));
  }
  TRY(print(text));
  return 0;
}

Result<int> act(const cli::Options& options) {
  if (options.dossier_action == "ls") {
    return list(options);
  }
  dossier::Store store = TRY(dossier::Store::open(state_dir(options), false));
  const std::string& id = options.dossier_id;
  if (options.dossier_action == "show") {
    const bool json = options.output == cli::Output::kJson;
    // Written fit for a terminal; it may have been changed since.
    const std::string text = TRY(store.read(id, json ? "report.json" : "report.txt"));
    TRY(print(escape_lines(text)));
    return 0;
  }
  if (options.dossier_action == "rm") {
    TRY(store.remove(id));
    return 0;
  }
  if (options.dossier_action == "export") {
    TRY(export_dossier(store, options));
    return 0;
  }
  std::string text;
  const auto wrong = TRY(store.verify(id));
  for (const std::string& line : wrong) {
    text += line + "\n";
  }
  TRY(print(wrong.empty() ? fmt::format("{}: every file is as it was written\n", escape(id)) : text));
  return wrong.empty() ? 0 : 1;
}

}  // namespace

int run_dossier(const cli::Options& options) {
  const auto status = act(options);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
