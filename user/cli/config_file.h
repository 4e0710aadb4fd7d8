// The config file: `key = value` lines with long flag names as keys, a subset of TOML. Knows no flags; parse() judges
// the keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch::cli {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;  ///< one, or the items of an array
  int line = 0;
};

/// `[[name]]`, or the table `[name]`, and the entries below it.
struct ConfigSection {
  std::string file;
  std::string name;
  bool table = false;  ///< there is one of it in a file
  int line = 0;
  std::vector<ConfigEntry> entries;
};

struct ConfigText {
  std::vector<ConfigEntry> entries;  ///< above the first section
  std::vector<ConfigSection> sections;
};

/// Lines `key = value`, `[[name]]`, `[name]`, `# comment` and blanks. A value is "quoted" (escapes \" \\ \n \t),
/// 'literal', bare (8M, 1%, true) or an array of those on one line. Tables and keys that are repeated and anything else
/// are kUsage with `name`:line in front.
Result<ConfigText> parse_config(std::string_view text, const std::string& name);

/// Reads and parses the file at `path`. kUsage when it cannot be read, is larger than 1 MiB, or is writable by
/// everybody (it may name a command to run as root).
Result<ConfigText> read_config(const std::string& path);

}  // namespace mapwatch::cli
