#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "cli/flags.h"
#include "cli/usage.h"

namespace mapwatch::cli {
namespace {

/// What may follow a command or a flag.
struct Takes {
  bool value = false;
  bool file = false;
  bool directory = false;
  std::vector<std::string> words;
};

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// "auto|DUR": of the words those in small letters are meant as they are.
Takes takes(const FlagSpec& flag) {
  Takes result;
  result.value = !flag.metavar.empty();
  result.file = flag.metavar == "FILE" || flag.metavar == "EXE_GLOB" || flag.metavar == "P" || flag.metavar == "PATH";
  result.directory = flag.metavar == "DIR";
  for (std::string& word : split(flag.metavar, '|')) {
    if (std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) {
      result.words.push_back(std::move(word));
    }
  }
  return result;
}

/// A flag as the shells need it, for the flags that every command takes too.
struct Flag {
  char letter;
  std::string name;
  std::string help;
  Takes takes;
};

std::vector<Flag> flags_of(Command command) {
  std::vector<Flag> result;
  for (const FlagSpec& flag : flags()) {
    if ((flag.shown & bit(command)) != 0) {
      result.push_back({flag.letter, std::string(flag.name), std::string(flag.help), takes(flag)});
    }
  }
  result.push_back({0, "config", "read flags from FILE", {true, true, false, {}}});
  result.push_back({0, "print-config", "print each flag, its value and where that came from", {}});
  result.push_back({'h', "help", "help", {}});
  return result;
}

/// Words that a command takes by themselves: those in small letters of "ls | show ID | rm ID".
std::vector<std::string> actions(const CommandSpec& command) {
  std::vector<std::string> result;
  for (const std::string& alternative : split(command.usage, '|')) {
    const std::vector<std::string> words = split(alternative, ' ');
    const auto first = std::ranges::find_if(words, [](const std::string& word) { return !word.empty(); });
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };  // k8s
    if (first != words.end() && std::ranges::all_of(*first, plain)) {
      result.push_back(*first);
    }
  }
  return result;
}

std::string names(const std::vector<Flag>& flags) {
  std::string text;
  for (const Flag& flag : flags) {
    text += (flag.letter != 0 ? fmt::format("-{} ", flag.letter) : "") + fmt::format("--{} ", flag.name);
  }
  return text;
}

std::string either(const Flag& flag) {
  return flag.letter != 0 ? fmt::format("-{}|--{}", flag.letter, flag.name) : fmt::format("--{}", flag.name);
}

std::string bash() {
  std::string commands_text;
  std::string by_command;
  std::map<std::string, std::string> by_action;  // flags, as a pattern of case
  for (const CommandSpec& command : commands()) {
    commands_text += fmt::format("{} ", command.name);
    by_command += fmt::format("    {}) words=\"{} {}\" ;;\n", command.name, names(flags_of(command.command)),
                              fmt::join(actions(command), " "));
  }
  for (const FlagSpec& spec : flags()) {
    const Flag flag{spec.letter, std::string(spec.name), "", takes(spec)};
    if (!flag.takes.value || spec.shown == 0) {
      continue;
    }
    const std::string how = flag.takes.directory       ? "-d"
                            : flag.takes.file          ? "-f"
                            : flag.takes.words.empty() ? ""
                                                       : fmt::format("-W \"{}\"", fmt::join(flag.takes.words, " "));
    std::string& pattern = by_action[how];
    pattern += (pattern.empty() ? "" : "|") + either(flag);
  }
  by_action["-f"] += "|--config";
  std::string by_flag;
  for (const auto& [how, pattern] : by_action) {
    const std::string fill = how.empty() ? "" : fmt::format("mapfile -t COMPREPLY < <(compgen {} -- \"$now\"); ", how);
    by_flag += fmt::format("    {}) {}return ;;\n", pattern, fill);
  }
  return fmt::format(R"(# bash completion for mapwatch
_mapwatch() {{
  local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= words word
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
      --) return ;;  # what follows is another program's
      -*) ;;
      *) [ -z "$command" ] && command=$word ;;
    esac
  done
  case $before in
{}  esac
  case $command in
    "") words="{}--help --version" ;;
{}    *) words= ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$now")
}}
complete -o default -F _mapwatch mapwatch
)",
                     by_flag, commands_text, by_command);
}

/// Text within '...' of a shell, where none of `special` may stand as it is.
std::string quoted(std::string_view text, std::string_view special) {
  std::string result;
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
      continue;
    }
    if (special.find(c) != std::string_view::npos) {
      result += '\\';
    }
    result += c;
  }
  return result;
}

std::string zsh_flag(const Flag& flag) {
  std::string after;
  if (flag.takes.value) {
    after = flag.takes.directory       ? ":directory:_files -/"
            : flag.takes.file          ? ":file:_files"
            : flag.takes.words.empty() ? ":value: "
                                       : fmt::format(":value:({})", fmt::join(flag.takes.words, " "));
  }
  const std::string help = quoted(flag.help, ":[]\\");
  std::string text = fmt::format(" \\\n        '*--{}[{}]{}'", flag.name, help, after);
  if (flag.letter != 0) {
    text += fmt::format(" \\\n        '*-{}[{}]{}'", flag.letter, help, after);
  }
  return text;
}

std::string zsh() {
  std::string described;
  std::string cases;
  for (const CommandSpec& command : commands()) {
    described += fmt::format("    '{}:{}'\n", command.name, quoted(command.summary, ":"));
    cases += fmt::format("      {})\n      _arguments -s", command.name);
    for (const Flag& flag : flags_of(command.command)) {
      cases += zsh_flag(flag);
    }
    const std::vector<std::string> words = actions(command);
    cases += words.empty() ? " \\\n        '*::argument:_files'\n      ;;\n"
                           : fmt::format(" \\\n        '1:action:({})'\n      ;;\n", fmt::join(words, " "));
  }
  return fmt::format(R"(#compdef mapwatch
_mapwatch() {{
  local -a commands
  commands=(
{}  )
  local state
  _arguments -C '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
    case ${{words[1]}} in
{}    esac
    ;;
  esac
}}
if [ "$funcstack[1]" = _mapwatch ]; then _mapwatch "$@"; else compdef _mapwatch mapwatch; fi
)",
                     described, cases);
}

std::string fish() {
  std::string names_of_commands;
  for (const CommandSpec& command : commands()) {
    names_of_commands += fmt::format("{} ", command.name);
  }
  std::string text = "# fish completion for mapwatch\ncomplete -c mapwatch -f\n";
  for (const CommandSpec& command : commands()) {
    text += fmt::format("complete -c mapwatch -n 'not __fish_seen_subcommand_from {}' -a {} -d '{}'\n",
                        names_of_commands, command.name, quoted(command.summary, ""));
    const std::string here = fmt::format("complete -c mapwatch -n '__fish_seen_subcommand_from {}'", command.name);
    for (const Flag& flag : flags_of(command.command)) {
      text += here + (flag.letter != 0 ? fmt::format(" -s {}", flag.letter) : "") + fmt::format(" -l {}", flag.name);
      if (flag.takes.value) {
        text += flag.takes.directory       ? " -x -a '(__fish_complete_directories)'"
                : flag.takes.file          ? " -r -F"
                : flag.takes.words.empty() ? " -x"
                                           : fmt::format(" -x -a '{}'", fmt::join(flag.takes.words, " "));
      }
      text += fmt::format(" -d '{}'\n", quoted(flag.help, "\\"));
    }
    if (const std::vector<std::string> words = actions(command); !words.empty()) {
      text += fmt::format("{} -a '{}'\n", here, fmt::join(words, " "));
    }
  }
  return text;
}

}  // namespace

Result<std::string> completion(std::string_view shell) {
  if (shell == "bash") {
    return bash();
  }
  if (shell == "zsh") {
    return zsh();
  }
  if (shell == "fish") {
    return fish();
  }
  return usage(fmt::format("export completion: \"{}\" is none of bash, zsh, fish", shell), see_help("export"));
}

}  // namespace mapwatch::cli
