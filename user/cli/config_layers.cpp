#include "cli/config_layers.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "cli/config_keys.h"
#include "cli/usage.h"

namespace mapwatch::cli {

namespace {

constexpr std::size_t kMostDropIns = 256;

/// The drop-ins of the file at `path`, in order. None when there is no such folder.
Result<std::vector<std::string>> drop_ins(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path() / "conf.d";
  std::vector<std::string> out;
  struct stat info = {};
  if (::stat(folder.c_str(), &info) != 0) {
    return errno == ENOENT ? Result<std::vector<std::string>>(out)
                           : usage(fmt::format("cannot read {}", folder.string()));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return usage(fmt::format("cannot read {}: everybody may write to it", folder.string()),
                 fmt::format("chmod o-w {}", folder.string()));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator each(folder, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename();
    if (name.ends_with(".toml") && !name.starts_with('.')) {
      out.push_back(each->path());
    }
  }
  if (error) {
    return usage(fmt::format("cannot read {}: {}", folder.string(), error.message()));
  }
  if (out.size() > kMostDropIns) {
    return usage(fmt::format("{} has {} files, {} are the most", folder.string(), out.size(), kMostDropIns));
  }
  std::ranges::sort(out);
  return out;
}

Result<void> take(const ConfigEntry& entry, const std::string& prefix, const std::string& path, bool wanted,
                  FileLayers& out) {
  const std::string where = fmt::format("{}:{}", path, entry.line);
  const FlagSpec* flag = TRY(flag_of_key(entry, where, prefix));
  if (wanted) {
    out.flags.insert_or_assign(flag->name, Layer{entry.values, where, fmt::format("{}: {}", where, entry.key)});
  }
  return {};
}

Result<void> read_one(const std::string& path, Command command, FileLayers& out) {
  const ConfigText text = TRY(read_config(path));
  for (const ConfigEntry& entry : text.entries) {
    TRY(take(entry, "", path, true, out));
  }
  std::vector<ConfigSection> targets;
  for (const ConfigSection& section : text.sections) {
    if (!section.table) {
      targets.push_back(section);
      continue;
    }
    const bool metrics = section.name == "metrics";
    if (!metrics && section.name != "daemon") {
      return usage(fmt::format("{}:{}: unknown table {}", path, section.line, section.name),
                   std::string(kSectionsThere));
    }
    for (const ConfigEntry& entry : section.entries) {
      const bool short_name = metrics && entry.key != "web-config-file";  // whose long name says metrics in other words
      TRY(take(entry, short_name ? "metrics-" : "", path, metrics || command == Command::kDaemon, out));
    }
  }
  out.targets.insert(out.targets.begin(), targets.begin(), targets.end());
  return {};
}

}  // namespace

Result<FileLayers> read_layers(const std::string& path, Command command) {
  FileLayers out;
  TRY(read_one(path, command, out));
  if (command == Command::kDaemon) {
    for (const std::string& each : TRY(drop_ins(path))) {
      TRY(read_one(each, command, out));
    }
  }
  return out;
}

}  // namespace mapwatch::cli
