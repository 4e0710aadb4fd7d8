#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/combinations.h"
#include "cli/config_keys.h"
#include "cli/config_layers.h"
#include "cli/flags.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/usage.h"
#include "cli/values.h"

namespace mapwatch::cli {

namespace {

constexpr std::string_view kEnvPrefix = "MAPWATCH_";

/// The command line in words, nothing judged yet.
struct Words {
  std::map<std::string_view, std::vector<std::string>>
      flags;                             ///< by long name; switches: one "true", counts: the count
  std::vector<std::string> positionals;  ///< and flags that nobody knows
  std::optional<std::string> config;
  bool help = false;
  bool version = false;
  bool print_config = false;
};

/// CLI11 splits the words and nothing more: its own idea of precedence and its exit statuses are not mapwatch's.
Result<Words> split_words(std::vector<std::string> args) {
  Words words;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::string> config;
  app.add_flag("-h,--help", words.help);
  app.add_flag("--version", words.version);
  app.add_flag("--print-config", words.print_config);
  app.add_option("--config", config)->allow_extra_args(false);
  std::map<std::string_view, int> counts;
  for (const FlagSpec& flag : flags()) {
    const std::string names =
        (flag.letter != 0 ? fmt::format("-{},", flag.letter) : "") + fmt::format("--{}", flag.name);
    if (flag.kind == FlagKind::kSwitch || flag.kind == FlagKind::kCount) {
      app.add_flag(names, counts[flag.name]);
    } else {
      app.add_option(names, words.flags[flag.name])->allow_extra_args(false);
    }
  }
  try {
    std::reverse(args.begin(), args.end());  // CLI11's vector form reads from the back
    app.parse(std::move(args));
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    return usage(fmt::format("{} needs a value", what.substr(0, what.find(':'))), see_help(""));
  } catch (const CLI::ParseError& error) {
    return usage(error.what(), see_help(""));
  }
  for (const auto& [name, count] : counts) {
    if (count != 0) {
      words.flags[name] = {find_flag(name)->kind == FlagKind::kCount ? std::to_string(count) : "true"};
    }
  }
  if (!config.empty()) {
    words.config = config.back();
  }
  words.positionals = app.remaining();
  return words;
}

/// Kubernetes puts such variables into every container of a namespace that has a Service named mapwatch.
bool is_service_link(std::string_view name) {
  return name.starts_with("MAPWATCH_SERVICE_") || name.starts_with("MAPWATCH_PORT");
}

/// What the environment says, flag by flag.
struct Environment {
  std::map<std::string_view, std::string>
      flags;  ///< MAPWATCH_*, by the flag's long name; an empty variable is no variable
  std::string config;
  bool no_color = false;
  bool force_color = false;
  bool dumb_terminal = false;
};

Result<Environment> read_environment(const std::vector<std::string>& env) {
  Environment result;
  for (const std::string& variable : env) {
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string_view name = std::string_view(variable).substr(0, equals);
    const std::string value = variable.substr(std::min(equals + 1, variable.size()));
    if (value.empty()) {
      continue;
    }
    result.no_color |= name == "NO_COLOR";
    result.force_color |= name == "CLICOLOR_FORCE" && value != "0";
    result.dumb_terminal |= name == "TERM" && value == "dumb";
    if (!name.starts_with(kEnvPrefix) || is_service_link(name)) {
      continue;
    }
    if (name == "MAPWATCH_CONFIG") {
      result.config = value;
      continue;
    }
    const auto flag = std::find_if(flags().begin(), flags().end(),
                                   [&, name](const FlagSpec& spec) { return spec.env_name() == name; });
    if (flag == flags().end()) {
      return usage(fmt::format("the environment variable {} names no flag of mapwatch", name),
                   fmt::format("unset {}", name));
    }
    result.flags[flag->name] = value;
  }
  return result;
}

/// Applies one layer's values. A list starts from empty: layers replace, they do not add up.
Result<void> apply(const FlagSpec& flag, const Layer& layer, Options& options) {
  const bool each = flag.kind == FlagKind::kList;
  const std::size_t first = each || layer.values.empty() ? 0 : layer.values.size() - 1;
  for (std::size_t i = first; i < layer.values.size(); ++i) {
    auto set = flag.set(options, layer.values[i]);
    if (!set) {
      return usage(fmt::format("{}: {}", layer.where, set.error().message), set.error().hint);
    }
  }
  return {};
}

Result<Command> find_the_command(Words& words) {
  const auto first = std::find_if(words.positionals.begin(), words.positionals.end(),
                                  [](const std::string& word) { return !word.starts_with("-"); });
  const auto unknown_flag = std::find_if(words.positionals.begin(), words.positionals.end(),
                                         [](const std::string& word) { return word.starts_with("-"); });
  const std::string name = first == words.positionals.end() ? "" : *first;
  // An unknown flag's value would be taken for the command.
  if (unknown_flag != words.positionals.end() && unknown_flag < first) {
    return Command::kNone;
  }
  if (name.empty()) {
    return Command::kNone;
  }
  if (is_later_command(name)) {
    return usage(fmt::format("{} is not in this version of mapwatch ({})", name, MAPWATCH_VERSION),
                 "see mapwatch --help for what is");
  }
  const CommandSpec* spec = find_command(name);
  if (spec == nullptr) {
    std::vector<std::string_view> known;
    for (const CommandSpec& command : commands()) {
      known.push_back(command.name);
    }
    const std::string meant = nearest(name, known);
    return usage(fmt::format("there is no command {}", name),
                 meant.empty() ? see_help("") : fmt::format("did you mean {}?", meant));
  }
  words.positionals.erase(first);
  return spec->command;
}

bool given(const Words& words, std::string_view flag) {
  const auto found = words.flags.find(flag);
  return found != words.flags.end() && !found->second.empty();
}

/// What is left on the command line once flags and command are taken.
Result<void> take_positionals(const Words& words, Options& options) {
  const std::string_view command = options.command == Command::kNone ? "" : command_name(options.command);
  const std::vector<std::string>& rest = words.positionals;
  for (const std::string& word : rest) {
    if (!word.starts_with("-") || word == "-") {
      continue;
    }
    std::vector<std::string_view> known;
    for (const FlagSpec& flag : flags()) {
      known.push_back(flag.name);
    }
    const std::string typed = word.substr(std::min(word.find_first_not_of('-'), word.size()));
    const std::string meant = word.starts_with("--") ? nearest(typed.substr(0, typed.find('=')), known) : "";
    return usage(fmt::format("unknown flag {}", word),
                 meant.empty() ? see_help(command) : fmt::format("did you mean --{}?", meant));
  }
  if (options.command == Command::kReplay) {
    if (rest.size() != 1) {
      return usage("replay: give one recorded file", "mapwatch replay FILE; mapwatch watch --record FILE writes one");
    }
    options.replay_file = rest.front();
    return {};
  }
  if (options.command == Command::kDossier) {
    const std::string action = rest.empty() ? "" : rest.front();
    const bool needs_id = action == "show" || action == "verify" || action == "export" || action == "rm";
    if ((action != "ls" && !needs_id) || rest.size() != (needs_id ? 2u : 1u)) {
      return usage("dossier: say what to do",
                   "mapwatch dossier ls | show ID | verify ID | export ID [--redact] | rm ID");
    }
    if (action != "export" && given(words, "redact")) {
      return usage(fmt::format("dossier {} does not take --redact", action), see_help("dossier"));
    }
    options.dossier_action = action;
    options.dossier_id = needs_id ? rest.back() : "";
    return {};
  }
  if (options.command == Command::kExport) {
    options.export_what = rest;
    const bool shell = !rest.empty() && rest.front() == "completion";
    if (rest.empty() || rest.size() != (shell ? 2u : 1u)) {
      return usage("export: say what",
                   "mapwatch export dashboard | rules | unit | k8s | man | completion bash|zsh|fish | schema");
    }
    return {};
  }
  if (!rest.empty()) {
    return usage(fmt::format("{}: unexpected argument {}", command, rest.front()),
                 options.command == Command::kRun
                     ? "put -- in front of the command to run: mapwatch run [flags] -- CMD ARGS..."
                     : see_help(command));
  }
  return {};
}

Result<void> check_flags_fit(const Words& words, Command command) {
  if (given(words, "quiet") && given(words, "verbose")) {
    return usage("-q and -v contradict each other");
  }
  for (const FlagSpec& flag : flags()) {
    if (given(words, flag.name) && (flag.commands & bit(command)) == 0) {
      return usage(fmt::format("{} does not take --{}", command_name(command), flag.name),
                   see_help(command_name(command)));
    }
  }
  return {};
}

/// NO_COLOR and CLICOLOR_FORCE stand between --color, MAPWATCH_COLOR and the file: they are the environment's, too.
std::optional<Layer> color_layer(const Environment& env) {
  if (env.no_color) {
    return Layer{{"never"}, "NO_COLOR", "NO_COLOR"};
  }
  if (env.force_color) {
    return Layer{{"always"}, "CLICOLOR_FORCE", "CLICOLOR_FORCE"};
  }
  return std::nullopt;
}

/// A whole host is watched for months: under a budget, unless somebody says otherwise.
std::string_view fallback(const FlagSpec& flag, const Options& options) {
  return flag.name == "sample" && options.all ? "auto" : flag.fallback;
}

/// The layer that decides about a flag: command line, environment, file, default. `options`: what the flags before it
/// in the table say.
Layer winner(const FlagSpec& flag, const Words& words, const Environment& env,
             const std::map<std::string_view, Layer>& file, const Options& options) {
  if (given(words, flag.name)) {
    return {words.flags.at(flag.name), "flag", fmt::format("--{}", flag.name)};
  }
  if (const auto it = env.flags.find(flag.name); it != env.flags.end()) {
    return {{it->second}, flag.env_name(), flag.env_name()};
  }
  if (flag.name == "color") {
    if (auto layer = color_layer(env)) {
      return *layer;
    }
  }
  if (const auto it = file.find(flag.name); it != file.end()) {
    return it->second;
  }
  if (flag.name == "color" && env.dumb_terminal) {
    return {{"never"}, "TERM=dumb", "TERM"};
  }
  const std::string_view value = fallback(flag, options);
  return {value.empty() ? std::vector<std::string>{} : std::vector<std::string>{std::string(value)}, "default",
          fmt::format("default of --{}", flag.name)};
}

}  // namespace

Result<Parsed> parse(const std::vector<std::string>& args, const std::vector<std::string>& env) {
  Parsed parsed;
  Options& options = parsed.options;
  const auto dashes = std::find(args.begin(), args.end(), "--");
  Words words = TRY(split_words({args.begin(), dashes}));
  options.command = TRY(find_the_command(words));
  if (options.command == Command::kRun && dashes != args.end()) {
    options.child.assign(dashes + 1, args.end());
  } else if (dashes != args.end()) {
    words.positionals.insert(words.positionals.end(), dashes + 1, args.end());
  }
  if (words.version || words.help) {
    parsed.text = words.version ? version_text() : help_text(options.command);
    return parsed;
  }
  TRY(take_positionals(words, options));
  if (options.command == Command::kNone) {
    return usage("no command given", see_help(""));
  }
  TRY(check_flags_fit(words, options.command));

  const Environment environment = TRY(read_environment(env));
  options.config = words.config.value_or(environment.config);
  const FileLayers file = options.config.empty() ? FileLayers{} : TRY(read_layers(options.config, options.command));
  options.print_config = words.print_config;
  std::vector<Setting> settings;
  for (const FlagSpec& flag : flags()) {
    Layer layer = winner(flag, words, environment, file.flags, options);
    if ((flag.commands & bit(options.command)) == 0) {
      continue;  // the file and the environment serve all commands
    }
    if (flag.name == "all" && layer.origin == "default" && options.command == Command::kDaemon && !selects(options)) {
      layer.values = {"true"};  // a daemon that is not told otherwise
    }
    TRY(apply(flag, layer, options));
    if (flag.later && !layer.values.empty() && layer.values.back() != flag.fallback) {
      parsed.warnings.push_back(fmt::format("{} is accepted and has no effect in this version", layer.where));
    }
    settings.push_back({&flag, layer.values, layer.origin});
  }
  if (options.on_crash == "core") {
    parsed.warnings.push_back("--on-crash core: cores are not written in this version; taken as report");
  }
  if (options.quiet && options.verbose > 0) {  // from two layers
    if (given(words, "verbose")) {
      options.quiet = false;
    } else {
      options.verbose = 0;
    }
  }
  TargetRules rules = TRY(target_rules(file.targets, [&](const FlagSpec& flag) -> std::string {
    const bool by_flag = given(words, flag.name);
    return by_flag ? "flag" : environment.flags.contains(flag.name) ? flag.env_name() : "";
  }));
  options.targets = std::move(rules.rules);
  if (options.print_config) {
    parsed.text = config_text(settings, rules.settings);
    return parsed;
  }
  TRY(check_combination(options));
  if (options.command == Command::kDaemon) {
    options.given = args;
    options.given_environment = env;
  }
  return parsed;
}

}  // namespace mapwatch::cli
