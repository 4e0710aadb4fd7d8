#include "cli/combinations.h"

#include <fmt/format.h>

#include "base/listen_address.h"
#include "cli/alert_flags.h"
#include "cli/flags.h"
#include "cli/usage.h"

namespace mapwatch::cli {

namespace {

/// What a daemon tells is not for other hosts as it is. Whether the file does what they need is seen when it is read.
Result<void> check_listen(const Options& options) {
  if (options.metrics_listen.empty()) {
    return {};
  }
  const ListenAddress address = TRY(parse_listen_address(options.metrics_listen));
  if (!address.local() && options.web_config_file.empty()) {
    return usage(fmt::format("daemon: metrics-listen {} is open to other hosts", options.metrics_listen),
                 kListenLocally);
  }
  return {};
}

}  // namespace

bool selects(const Options& options) {
  return !options.pids.empty() || !options.names.empty() || !options.exe_globs.empty() || !options.cgroup.empty() ||
         options.all;
}

Result<void> check_combination(const Options& options) {
  TRY(check_alerts(options));
  switch (options.command) {
    case Command::kDaemon:
      TRY(check_listen(options));
      [[fallthrough]];
    case Command::kWatch:
    case Command::kTop:
      if (!selects(options)) {
        return usage(fmt::format("{}: nothing to watch", command_name(options.command)),
                     "say which processes: -p PID, -a, -n NAME, -x EXE_GLOB or --cgroup PATH; "
                     "mapwatch ls lists Go processes");
      }
      break;
    case Command::kRun:
      if (options.child.empty()) {
        return usage("run: no command to run", "mapwatch run [flags] -- CMD ARGS...");
      }
      break;
    case Command::kThaw:
      if (options.pids.size() > 1 || (!options.pids.empty() && options.all)) {
        return usage("thaw: give one process with -p, or --all", see_help("thaw"));
      }
      break;
    case Command::kDump:
      if (options.pids.size() + (options.core.empty() ? 0 : 1) != 1) {
        return usage("dump: give one process with -p, or one core with --core and --exe", see_help("dump"));
      }
      if (!options.core.empty() && options.exe_globs.size() != 1) {
        return usage("dump: --core needs its program", "dump --core FILE --exe BINARY");
      }
      if (options.core.empty() && !options.exe_globs.empty()) {
        return usage("dump: --exe belongs to --core", see_help("dump"));
      }
      break;
    case Command::kGate:
      if (options.slo.empty() == (options.canary.empty() && options.baseline.empty())) {
        return usage("gate: give --slo FILE, or --canary and --baseline", see_help("gate"));
      }
      if (options.slo.empty() && (options.canary.empty() || options.baseline.empty())) {
        return usage("gate: --canary and --baseline belong together", see_help("gate"));
      }
      if (options.slo.empty() && (options.override_gate || !options.prometheus.empty())) {
        return usage("gate: --override and --prometheus belong to --slo", see_help("gate"));
      }
      if (options.override_gate != !options.reason.empty()) {
        return usage("gate: --override needs --reason, and a reason overrides nothing by itself",
                     "--override --reason 'mends the outage'");
      }
      break;
    case Command::kDoctor:
      if (options.pids.size() > 1) {
        return usage("doctor: -p takes one process", see_help("doctor"));
      }
      break;
    default:
      break;
  }
  return {};
}

}  // namespace mapwatch::cli
