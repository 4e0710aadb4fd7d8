#include "dossier/redact.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "dossier/markup.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kRedacted = "(redacted)";
// Of `go version -m`: what tells how the code was compiled. Others hold paths, or what -X put into a variable.
constexpr std::array<std::string_view, 18> kSettings = {
    "-buildmode", "-compiler", "-race",        "-trimpath",    "CGO_ENABLED", "DefaultGODEBUG",
    "GOAMD64",    "GOARCH",    "GOEXPERIMENT", "GOFIPS140",    "GOOS",        "-asan",
    "-msan",      "-cover",    "vcs",          "vcs.revision", "vcs.time",    "vcs.modified"};

void each_line(std::string_view text, const std::function<void(std::string_view)>& line) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string build_info(std::string_view text) {
  std::string out;
  each_line(text, [&](std::string_view line) {
    constexpr std::string_view kBuild = "build\t";
    const std::string_view key =
        line.starts_with(kBuild) ? line.substr(kBuild.size(), line.find('=') - kBuild.size()) : "";
    if (line.starts_with("go\t") || line.starts_with("path\t") ||
        std::ranges::find(kSettings, key) != kSettings.end()) {
      out.append(line) += '\n';
    }
  });
  return out;
}

/// `goroutine 7 [chan receive] {user: "somebody"}:` without its labels.
std::string without_labels(std::string_view text) {
  std::string out;
  each_line(text, [&](std::string_view line) {
    const std::size_t labels = line.starts_with("goroutine ") ? line.find("] {") : std::string_view::npos;
    out.append(labels == std::string_view::npos ? line : line.substr(0, labels + 1));
    out += labels == std::string_view::npos ? "\n" : ":\n";
  });
  return out;
}

/// What can stand before a path's first slash, but within a package's path or a type.
bool begins_path(char before) {
  return std::isalnum(static_cast<unsigned char>(before)) == 0 &&
         std::string_view("._-~/*)]").find(before) == std::string_view::npos;
}

void walk(Json& json, const std::function<void(std::string&)>& change) {
  if (json.is_string()) {
    change(json.get_ref<std::string&>());
  } else if (json.is_structured()) {
    for (auto& item : json) {
      walk(item, change);
    }
  }
}

/// Of each "file" its last component, whoever's it is.
void shorten_files(Json& json) {
  if (json.is_object() && json.contains("file") && json["file"].is_string()) {
    const std::string& path = json["file"].get_ref<const std::string&>();
    json["file"] = path.substr(path.rfind('/') + 1);
  }
  if (json.is_structured()) {
    for (auto& item : json) {
      shorten_files(item);
    }
  }
}

}  // namespace

void Redactor::add_directory_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash == 0 || path[slash - 1] == '/') {
    return;
  }
  const std::string directory(path.substr(0, slash));
  for (std::string form : {directory, escape(directory), markup(directory)}) {
    longest_ = std::max(longest_, form.size());
    directories_.insert(std::move(form));
  }
}

Result<Redactor> Redactor::create(const std::string& report_json) {
  Json json = Json::parse(report_json, nullptr, false);
  if (!json.is_object() || json.value("kind", Json()) != "crash") {
    return fail(ErrorKind::kMalformed, "report.json is not what mapwatch wrote: what is to be left out is not known");
  }
  Redactor redactor;
  walk(json, [&](std::string& text) { redactor.add_directory_of(text); });
  const Json::json_pointer cgroup("/process/cgroup");
  if (json.contains(cgroup) && json[cgroup].is_string() && json[cgroup] != "/") {
    const auto path = json[cgroup].get<std::string>();
    for (std::string form : {path, escape(path), markup(path)}) {
      redactor.longest_ = std::max(redactor.longest_, form.size());
      redactor.secrets_.insert(std::move(form));
    }
  }
  return redactor;
}

void Redactor::learn(std::string_view text) {
  each_line(text, [&](std::string_view line) {
    // "\t/src/app/main.go:19 +0x2a", "      /src/app/main.go:19 +0x2a"
    const std::size_t begin = line.find_first_not_of(" \t");
    const std::size_t end = line.rfind(':');
    if (begin != 0 && end != std::string_view::npos && end > begin && end + 1 < line.size() &&
        std::isdigit(static_cast<unsigned char>(line[end + 1])) != 0) {
      add_directory_of(line.substr(begin, end - begin));
    }
  });
}

void Redactor::learn_timeline(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  const Json::json_pointer name("/stderr/name");
  if (json.is_object() && json.contains(name) && json[name].is_string()) {
    add_directory_of(json[name].get<std::string>());
  }
}

std::string Redactor::plain(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;
  for (std::size_t at = text.find('/'); at != std::string_view::npos; at = text.find('/', at)) {
    std::size_t secret = 0;     // end of the longest secret that begins here
    std::size_t directory = 0;  // likewise of a directory, its slash included
    if (at == 0 || begins_path(text[at - 1])) {
      const std::string_view rest = text.substr(at, longest_ + 1);
      const std::string_view line = rest.substr(0, rest.find('\n'));
      for (std::size_t end = 1; end <= line.size(); ++end) {
        const bool slash = end < line.size() && line[end] == '/';
        if (slash && directories_.contains(std::string(line.substr(0, end)))) {
          directory = end + 1;
        }
        const bool over = end == line.size() || std::string_view(" <\"\t").find(line[end]) != std::string_view::npos;
        if (over && secrets_.contains(std::string(line.substr(0, end)))) {
          secret = end;
        }
      }
    }
    out.append(text.substr(done, at - done));
    out.append(secret != 0 ? kRedacted : "");
    done = at + std::max(secret, directory);
    at = std::max(done, at + 1);
  }
  return out.append(text.substr(done));
}

std::string Redactor::json(const std::string& text) const {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) {
    return "null\n";  // somebody changed it since
  }
  shorten_files(json);
  walk(json, [&](std::string& value) { value = plain(value); });
  if (json.is_object() && json.contains("entries")) {
    json["entries"] = Json::array();
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<std::string> Redactor::apply(std::string_view name, const std::string& text) const {
  if (name == "goroutines.txt") {
    return plain(without_labels(text));
  }
  if (name == "report.txt" || name == "report.html" || name == "map.svg") {
    return plain(text);
  }
  if (name == "report.json" || name == "maps.json" || name == "holders.json" || name == "timeline.json") {
    return json(text);
  }
  if (name == "buildinfo.txt") {
    return build_info(text);
  }
  return std::nullopt;
}

std::string Redactor::explanation() {
  return "Exported with --redact. Of each path only its last component is kept, of the cgroup nothing; pprof labels "
         "and the\n"
         "build settings that may hold secrets are left out, and with them the files env-names.txt, registers.json "
         "(registers\n"
         "may hold data), maps.txt and any that mapwatch does not know. Names of functions, packages and types, build "
         "id,\n"
         "addresses, process and goroutine numbers are as they were. Keys and values of maps are in no dossier.\n";
}

}  // namespace mapwatch::dossier
