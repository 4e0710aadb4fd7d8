#include "cli/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>

#include "base/guarded_file.h"
#include "base/read_all.h"
#include "base/unique_fd.h"

namespace mapwatch::cli {

namespace {

constexpr std::size_t kMaxConfigBytes = 1u << 20;
constexpr std::string_view kBlank = " \t\r";

bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// One line, read from the left.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  void skip_blank() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlank), rest_.size())); }
  /// Only blanks or a comment are left.
  bool at_end() {
    skip_blank();
    return rest_.empty() || rest_.front() == '#';
  }
  bool take(char c) {
    skip_blank();
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  std::string take_key() {
    std::size_t length = 0;
    while (length < rest_.size() && is_key_char(rest_[length])) {
      ++length;
    }
    std::string key(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return key;
  }
  /// One scalar; `in_array` ends a bare one at a comma or bracket too. nullopt: unterminated quote, bad escape,
  /// nothing.
  std::optional<std::string> take_scalar(bool in_array) {
    if (take('"')) {
      return take_quoted();
    }
    if (take('\'')) {
      const std::size_t end = rest_.find('\'');
      if (end == std::string_view::npos) {
        return std::nullopt;
      }
      std::string value(rest_.substr(0, end));
      rest_.remove_prefix(end + 1);
      return value;
    }
    const std::size_t end = std::min(rest_.find_first_of(in_array ? ",]# \t\r" : "# \t\r"), rest_.size());
    if (end == 0) {
      return std::nullopt;
    }
    std::string value(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return value;
  }

 private:
  std::optional<std::string> take_quoted() {
    std::string value;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') {
        return value;
      }
      if (c != '\\') {
        value += c;
        continue;
      }
      if (rest_.empty()) {
        return std::nullopt;
      }
      switch (rest_.front()) {
        case '"':
          value += '"';
          break;
        case '\\':
          value += '\\';
          break;
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        default:
          return std::nullopt;
      }
      rest_.remove_prefix(1);
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

std::optional<std::vector<std::string>> take_values(LineReader& line) {
  std::vector<std::string> values;
  if (!line.take('[')) {
    auto value = line.take_scalar(false);
    if (!value) {
      return std::nullopt;
    }
    values.push_back(std::move(*value));
    return values;
  }
  while (!line.take(']')) {
    auto value = line.take_scalar(true);
    if (!value) {
      return std::nullopt;
    }
    values.push_back(std::move(*value));
    if (!line.take(',')) {
      return line.take(']') ? std::optional(values) : std::nullopt;
    }
  }
  return values;
}

}  // namespace

Result<ConfigText> parse_config(std::string_view text, const std::string& name) {
  ConfigText config;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t newline = text.find('\n');
    LineReader line(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (line.at_end()) {
      continue;
    }
    const auto complain = [&](std::string_view what) {
      return fail(ErrorKind::kUsage, fmt::format("{}:{}: {}", name, number, what),
                  "each line is `key = value`, with the long name of a flag as key: output = json");
    };
    if (line.take('[')) {
      const bool table = !line.take('[');
      line.skip_blank();
      ConfigSection section{name, line.take_key(), table, number, {}};
      if (section.name.empty() || !line.take(']') || (!table && !line.take(']')) || !line.at_end()) {
        return complain("a section is written [[name]], a table [name]");
      }
      for (const ConfigSection& other : config.sections) {
        if (other.name == section.name && (table || other.table)) {
          return complain(fmt::format("{} was begun in line {} already", section.name, other.line));
        }
      }
      config.sections.push_back(std::move(section));
      continue;
    }
    ConfigEntry entry{line.take_key(), {}, number};
    if (entry.key.empty() || !line.take('=')) {
      return complain("no `key = value`");
    }
    auto values = take_values(line);
    if (!values || !line.at_end()) {
      return complain(fmt::format("the value of {} cannot be read", entry.key));
    }
    entry.values = std::move(*values);
    std::vector<ConfigEntry>& entries = config.sections.empty() ? config.entries : config.sections.back().entries;
    for (const ConfigEntry& other : entries) {
      if (other.key == entry.key) {
        return complain(fmt::format("{} was given in line {} already", entry.key, other.line));
      }
    }
    entries.push_back(std::move(entry));
  }
  return config;
}

Result<ConfigText> read_config(const std::string& path) {
  const auto complain = [&](std::string_view what, std::string hint) {
    return fail(ErrorKind::kUsage, fmt::format("cannot read config file {}: {}", path, what), std::move(hint));
  };
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return complain(std::generic_category().message(errno), "name an existing file with --config or MAPWATCH_CONFIG");
  }
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) {
    return complain(std::generic_category().message(errno), "");
  }
  if (everybody_writes(info)) {
    return complain("everybody may write to it", fmt::format("chmod o-w {}", path));
  }
  const auto text = read_all(file.get(), kMaxConfigBytes + 1);
  if (!text) {
    return complain(std::generic_category().message(errno), "");
  }
  if (text->size() > kMaxConfigBytes) {
    return complain("it is larger than 1 MiB", "");
  }
  return parse_config(*text, path);
}

}  // namespace mapwatch::cli
