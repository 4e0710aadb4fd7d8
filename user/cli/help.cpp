#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace mapwatch::cli {

namespace {

constexpr std::size_t kHelpColumn = 34;

std::string flag_line(std::string left, std::string_view right) {
  if (left.size() + 2 > kHelpColumn) {
    return fmt::format("{}\n{:{}}{}\n", left, "", kHelpColumn, right);
  }
  return fmt::format("{:<{}}{}\n", left, kHelpColumn, right);
}

std::string flag_help(const FlagSpec& flag) {
  std::string left =
      flag.letter != 0 ? fmt::format("  -{}, --{}", flag.letter, flag.name) : fmt::format("      --{}", flag.name);
  if (!flag.metavar.empty()) {
    left += fmt::format(" {}", flag.metavar);
  }
  std::string right(flag.help);
  if (flag.kind == FlagKind::kValue && !flag.fallback.empty()) {
    right += fmt::format(" [{}]", flag.fallback);
  }
  return flag_line(left, right);
}

std::string always_there() {
  return flag_line("      --config FILE", "read flags from FILE (`output = json`)") +
         flag_line("      --print-config", "print each flag, its value and where that came from") +
         flag_line("  -h, --help", "this text") + flag_line("      --version", "the version");
}

constexpr std::string_view kExitStatus =
    "Exit status: 0 ran as asked, 1 mapwatch failed, 2 usage, 3 host or target cannot be watched, 66 hazards found.\n";

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\t':
        result += "\\t";
        break;
      default:
        result += c;
    }
  }
  return result + "\"";
}

/// A value as the config file wants it: bare where that is safe.
std::string scalar(const std::string& text) {
  const bool bare = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("%/._-").find(static_cast<char>(c)) != std::string_view::npos;
  });
  return bare ? text : quoted(text);
}

std::string setting_value(const Setting& setting) {
  if (setting.flag->kind != FlagKind::kList) {
    return scalar(setting.values.front());
  }
  std::string items;
  for (const std::string& value : setting.values) {
    items += (items.empty() ? "" : ", ") + quoted(value);
  }
  return "[" + items + "]";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string help_text(Command command) {
  if (command == Command::kNone) {
    std::string text =
        "mapwatch warns of concurrent map access in live Go processes, before Go kills them.\n\n"
        "Usage: mapwatch COMMAND [flags]\n\nCommands:\n";
    for (const CommandSpec& spec : commands()) {
      text += fmt::format("  {:<10}{}\n", spec.name, spec.summary);
    }
    text +=
        "\n`mapwatch COMMAND --help` lists the flags of a command. A flag beats its MAPWATCH_* variable (-o, "
        "--output:\n"
        "MAPWATCH_OUTPUT), which beats the config file, which beats the default.\n\n";
    return text + std::string(kExitStatus);
  }
  const CommandSpec& spec = *find_command(command_name(command));
  std::string text = fmt::format("Usage: mapwatch {} {}\n\nmapwatch {}: {}.\n\nFlags:\n", spec.name, spec.usage,
                                 spec.name, spec.summary);
  for (const FlagSpec& flag : flags()) {
    if ((flag.shown & bit(command)) != 0) {
      text += flag_help(flag);
    }
  }
  text += always_there() + "\n";
  if (command == Command::kRun) {
    text +=
        "CMD's own exit status is passed on; when CMD was killed by a signal it is 128 + the signal. 125: mapwatch "
        "failed,\n"
        "126: CMD cannot be executed, 127: CMD is not there, 66: CMD succeeded and hazards were found.\n\n";
  }
  if (command == Command::kGate) {
    text +=
        "The gate is open (or the canary may go on): 0. Frozen (or to be rolled back): 10, warning: 11, no data: "
        "12.\n\n";
  }
  return text + std::string(kExitStatus);
}

std::string version_text() { return "mapwatch " MAPWATCH_VERSION "\n"; }

std::string config_text(const std::vector<Setting>& settings, const std::vector<SettingSection>& sections) {
  std::string text;
  const auto add = [&text](const Setting& setting) {
    if (setting.values.empty()) {
      text += fmt::format("{:<44}# not set ({})\n", fmt::format("# {} =", setting.flag->name), setting.origin);
    } else {
      text += fmt::format("{:<43} # {}\n", fmt::format("{} = {}", setting.flag->name, setting_value(setting)),
                          setting.origin);
    }
  };
  std::ranges::for_each(settings, add);
  for (const SettingSection& section : sections) {
    text += fmt::format("\n{:<43} # {}\n", section.header, section.origin);
    std::ranges::for_each(section.settings, add);
  }
  return text;
}

std::string nearest(std::string_view typed, const std::vector<std::string_view>& known) {
  std::string best;
  std::size_t best_distance = (typed.size() < 4 ? 1 : std::max<std::size_t>(2, typed.size() / 3)) + 1;
  for (const std::string_view name : known) {
    const std::size_t distance = edit_distance(typed, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace mapwatch::cli
