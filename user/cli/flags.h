// The flags as a table: name, what takes it, default, and how its text becomes a field of Options. Parsing, help and
// --print-config all read this table, so that a flag is described once.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/options.h"

namespace mapwatch::cli {

/// Sets of commands, one bit each.
using CommandSet = unsigned;
constexpr CommandSet bit(Command command) { return 1u << static_cast<unsigned>(command); }

struct CommandSpec {
  Command command;
  std::string_view name;
  std::string_view usage;    ///< what follows the name
  std::string_view summary;  ///< one line
};

/// The commands of this version.
std::span<const CommandSpec> commands();
/// nullptr for a command that is not known or belongs to a later version.
const CommandSpec* find_command(std::string_view name);
std::string_view command_name(Command command);
/// interface.md names it, this version does not have it.
bool is_later_command(std::string_view name);

enum class FlagKind {
  kSwitch,  ///< no value on the command line, true or false elsewhere
  kCount,   ///< repeated on the command line, a number elsewhere
  kValue,   ///< the last one given counts
  kList,    ///< repeated; the layer that wins gives all of them
};

/// What a flag's key is good for in a [[target]] of the config file.
enum class InTarget {
  kNot,
  kSelects,  ///< names processes
  kSets,     ///< is another one for them
};

struct FlagSpec {
  std::string_view name;  ///< long name, which is also its key in the file
  char letter;            ///< '\0': none
  FlagKind kind;
  CommandSet commands;  ///< that take it; a flag for other commands is an error on the command line only
  CommandSet shown;     ///< in whose help it is; commands that it changes nothing for do not show it
  std::string_view metavar;
  std::string_view help;
  std::string_view fallback;                               ///< default as text; empty: not set
  bool later;                                              ///< parsed and checked, without effect in this version
  Result<void> (*set)(Options&, const std::string& text);  ///< once, or once per list item
  InTarget in_target = InTarget::kNot;

  /// MAPWATCH_ and the long name in capitals with dashes as underscores.
  std::string env_name() const;
};

/// All flags that a config file or the environment can give too, in the order of help.
std::span<const FlagSpec> flags();
const FlagSpec* find_flag(std::string_view name);

}  // namespace mapwatch::cli
