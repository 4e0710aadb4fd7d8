#include "cli/manual.h"

#include <fmt/format.h>

#include <string_view>

#include "cli/flags.h"

namespace mapwatch::cli {
namespace {

/// Text as it is to be read: a '-' is one that can be searched and copied, and no line begins a request.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '.':
        out += out.empty() ? "\\&." : ".";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string entry(std::string_view name, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", name, shown(text));
}

std::string commands_text() {
  std::string text;
  for (const CommandSpec& command : commands()) {
    text += fmt::format(".TP\n\\fB{}\\fR {}\n{}.\n", shown(command.name), shown(command.usage), shown(command.summary));
  }
  return text;
}

std::string who_takes(const FlagSpec& flag) {
  std::string names;
  bool all = true;
  for (const CommandSpec& command : commands()) {
    const bool takes = (flag.shown & bit(command.command)) != 0;
    all = all && takes;
    if (takes) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", command.name);
    }
  }
  return all ? "every command" : names;
}

std::string flags_text() {
  std::string text;
  for (const FlagSpec& flag : flags()) {
    if (flag.shown == 0) {
      continue;
    }
    text += ".TP\n";
    if (flag.letter != 0) {
      text += fmt::format("\\fB\\-{}\\fR, ", flag.letter);
    }
    text += fmt::format("\\fB\\-\\-{}\\fR", shown(flag.name));
    if (!flag.metavar.empty()) {
      text += fmt::format(" \\fI{}\\fR", shown(flag.metavar));
    }
    text += fmt::format("\n{}.\n", shown(flag.help));
    if (flag.kind == FlagKind::kValue && !flag.fallback.empty()) {
      text += fmt::format("Default: {}.\n", shown(flag.fallback));
    }
    text += fmt::format("({})\n", shown(who_takes(flag)));
  }
  return text + entry("\\fB\\-\\-config\\fR \\fIFILE\\fR", "read flags from FILE.") +
         entry("\\fB\\-\\-print\\-config\\fR", "print each flag, its value and where that came from.") +
         entry("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "the flags of a command.") +
         entry("\\fB\\-\\-version\\fR", "the version.");
}

}  // namespace

std::string manual() {
  std::string text = fmt::format(R"(.\" Made by `mapwatch export man` from the table of flags.
.TH MAPWATCH 8 "" "mapwatch {}" "System Administration"
.SH NAME
mapwatch \- warn of concurrent map access in live Go processes
.SH SYNOPSIS
.B mapwatch
.I COMMAND
.RI [ flags ]
.SH DESCRIPTION
.B mapwatch
watches live Go processes by eBPF uprobes and says which two goroutines are about to end a process with
.RB \(lq "fatal error: concurrent map writes" \(rq,
before Go does.
Nothing is built anew or started again: it attaches to the map functions of the Go runtime.
A warning is an overlap that was seen, never an inference.
When a process crashes all the same it is held for some milliseconds, and a dossier of it is kept.
.PP
It needs Linux 6.1 or newer on amd64, and root or the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE.
.B mapwatch doctor
says what a host allows.
.SH COMMANDS
)",
                                 MAPWATCH_VERSION);
  text += commands_text() + ".SH OPTIONS\nIn brackets: the commands that take a flag.\n" + flags_text();
  return text + R"(.SH CONFIGURATION
A flag beats its variable, which beats the file of
.BR \-\-config ,
which beats the default.
The variable of
.B \-\-log\-path
is
.BR MAPWATCH_LOG_PATH ,
and so on.
.PP
The file has a line
.I key = value
for a flag, by its long name.
Sections
.B [[target]]
say what is otherwise for the processes that they name, the table
.B [daemon]
holds for
.B mapwatch daemon
alone, and
.B [metrics]
has the flags that begin with
.IR metrics\- .
The daemon also reads
.I conf.d/*.toml
beside its file.
An unknown key is an error.
.B \-\-print\-config
prints all in this form.
.SH ENVIRONMENT
.BR MAPWATCH_* :
see above.
.BR MAPWATCH_CONFIG :
the file of
.BR \-\-config .
.BR NO_COLOR ,
.BR CLICOLOR_FORCE :
whether the text form has colours.
.SH "EXIT STATUS"
.TP
0
ran as asked;
.BR gate :
open, or go
.TP
1
mapwatch failed
.TP
2
usage
.TP
3
host or target unsupported
.TP
10, 11, 12
.BR gate :
frozen or roll back, warning, no data
.TP
66
hazards were found (run; watch with \-\-exit\-code)
.TP
125, 126, 127
.BR run :
mapwatch failed, CMD cannot be executed, CMD is not there; else the status of CMD, or 128 and the signal
.SH FILES
.TP
.I /etc/mapwatch/mapwatch.toml
what the service reads
.TP
.I /var/lib/mapwatch
dossiers and the history of this host
.TP
.I /run/mapwatch
locks, and what may be held: read by
.B mapwatch thaw
.SH EXAMPLES
.TP
.B mapwatch watch \-p 4211
warn on a live process
.TP
.B mapwatch run \-\- ./server \-addr :8080
start it held, attach, let it go
.TP
.B mapwatch dossier ls
what was kept of crashes
.SH "SEE ALSO"
.BR bpf (2),
.BR systemd.service (5),
.BR promtool (1)
)";
}

}  // namespace mapwatch::cli
