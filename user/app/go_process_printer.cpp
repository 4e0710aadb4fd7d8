#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/go_process.h"
#include "base/escape.h"

namespace mapwatch::app {

namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json build_json(const std::optional<elf::BuildTraits>& build) {
  if (!build) {
    return nullptr;
  }
  return {{"stripped", build->stripped},
          {"pie", build->pie},
          {"cgo", build->cgo},
          {"dwarf", build->dwarf},
          {"race", build->race}};
}

std::string watchable_text(const GoProcess& process) {
  if (!process.watchable) {
    return "no: " + escape(process.reason);
  }
  return process.reason.empty() ? "yes" : "yes, " + escape(process.reason);
}

}  // namespace

std::string traits_text(const elf::BuildTraits& traits) {
  std::string text;
  const auto add = [&text](bool there, std::string_view word) {
    if (there) {
      text += (text.empty() ? "" : ",") + std::string(word);
    }
  };
  add(traits.stripped, "stripped");
  add(traits.pie, "PIE");
  add(traits.cgo, "cgo");
  add(traits.race, "race");
  return text.empty() ? "plain" : text;
}

std::string listing_text(const std::vector<GoProcess>& processes) {
  if (processes.empty()) {
    return "no Go processes\n";
  }
  struct Row {
    std::string pid;
    std::string go;
    std::string build;
    std::string exe;
    std::string watchable;
  };
  std::vector<Row> rows = {{"PID", "GO", "BUILD", "EXE", "WATCHABLE"}};
  for (const GoProcess& process : processes) {
    rows.push_back({std::to_string(process.pid), escape(process.go), process.build ? traits_text(*process.build) : "-",
                    escape(process.exe), watchable_text(process)});
  }
  std::size_t pid = 0;
  std::size_t go = 0;
  std::size_t build = 0;
  std::size_t exe = 0;
  for (const Row& row : rows) {
    pid = std::max(pid, row.pid.size());
    go = std::max(go, row.go.size());
    build = std::max(build, row.build.size());
    exe = std::max(exe, row.exe.size());
  }
  std::string text;
  for (const Row& row : rows) {
    text += fmt::format("{:>{}}  {:<{}}  {:<{}}  {:<{}}  {}\n", row.pid, pid, row.go, go, row.build, build, row.exe,
                        exe, row.watchable);
  }
  return text;
}

std::string listing_json(const std::vector<GoProcess>& processes) {
  std::string text;
  for (const GoProcess& process : processes) {
    const Json object = {{"schema_version", 1},
                         {"kind", "process"},
                         {"pid", process.pid},
                         {"ns_pid", process.ns_pid},
                         {"uid", process.uid},
                         {"comm", process.comm},
                         {"exe", process.exe},
                         {"go", process.go},
                         {"unverified", process.unverified},
                         {"main", text_or_null(process.main_path)},
                         {"build_id", text_or_null(process.build_id)},
                         {"build", build_json(process.build)},
                         {"watchable", process.watchable},
                         {"mark_only", process.mark_only},
                         {"reason", text_or_null(process.reason)}};
    text += object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

}  // namespace mapwatch::app
