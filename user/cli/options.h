// The command line, environment and config file as plain values. Filled by cli::parse, read by app/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace mapwatch::cli {

enum class Command {
  kNone,
  kRun,
  kWatch,
  kLs,
  kDoctor,
  kReplay,
  kTop,
  kDump,
  kDossier,
  kThaw,
  kDaemon,
  kGate,
  kChaos,
  kNet,
  kExport,
};
enum class Output { kText, kCompact, kJson };
enum class When { kAuto, kAlways, kNever };
enum class AttachMode { kAuto, kMulti, kPerf };

/// A [[target]] of the config file: what it says of the processes that it names.
struct TargetRule {
  std::string where;  ///< "mapwatch.toml:12"
  std::vector<std::string> names;
  std::vector<std::string> exe_globs;
  std::string cgroup;
  // nullopt: as for all others, or decided by a flag or a variable, which are stronger than the file.
  std::optional<double> budget;
  std::optional<std::string> sample;
  std::optional<std::optional<std::uint64_t>> dwell_ns;
};

struct Options {
  Command command = Command::kNone;
  // watch / run
  std::vector<int> pids;
  std::vector<std::string> names;
  std::vector<std::string> exe_globs;
  std::string cgroup;
  std::vector<std::string> excludes;
  bool all = false;
  std::optional<std::uint64_t> duration_ns;
  bool dry_run = false;
  bool follow = false;
  std::vector<std::string> child;  ///< CMD ARGS...
  // common
  Output output = Output::kText;
  bool timestamps = false;
  bool quiet = false;
  int verbose = 0;
  When color = When::kAuto;
  std::string log_path;
  std::string strip_path_prefix;
  std::string suppressions;
  std::optional<std::uint64_t> max_reports;
  bool halt_on_first = false;
  std::optional<int> exit_code;           ///< nullopt: 66 for run, 0 for watch
  double budget = 0.01;                   ///< share of the target's CPU time
  std::string sample = "full";            ///< auto (the default with -a), full, 1/N
  std::optional<std::uint64_t> dwell_ns;  ///< upper bound; nullopt: auto
  AttachMode attach = AttachMode::kAuto;
  std::string record;
  bool print_config = false;
  std::string on_crash = "report";
  std::string on_fatal = "map";
  std::uint64_t max_freeze_ns = 2'000'000'000;
  std::string state_dir;  ///< empty: the usual place
  std::string run_dir = "/run/mapwatch";
  std::uint64_t ring_size = 8u << 20;
  std::string procfs = "/proc";
  std::string config;
  std::vector<TargetRule> targets;  ///< the first that names a process holds for it
  // alerts: watch, run, daemon
  std::string webhook;              ///< empty: nowhere
  std::string webhook_secret_file;  ///< empty: unsigned
  std::string webhook_ca;           ///< empty: the system's
  std::string alertmanager;         ///< empty: none
  std::uint64_t alert_wait_ns = 2'000'000'000;
  std::uint64_t alert_interval_ns = 60'000'000'000;
  std::uint64_t alert_repeat_ns = 14'400'000'000'000;
  std::uint64_t alert_resolve_ns = 900'000'000'000;
  std::uint64_t alert_spool = 8u << 20;
  std::vector<std::string> exec;  ///< run for each finding, its JSON on stdin; empty: nothing
  std::string exec_user;          ///< empty: nobody for root, else the own
  std::uint64_t exec_timeout_ns = 10'000'000'000;
  unsigned exec_max = 4;
  When journal = When::kAuto;
  // daemon
  std::string metrics_listen;                  ///< as base/listen_address.h has it; empty: nowhere
  std::string web_config_file;                 ///< as ops/web_config.h has it; empty: none
  std::vector<std::string> given;              ///< what parse() was given, to read it anew
  std::vector<std::string> given_environment;  ///< likewise
  // top
  bool once = false;
  bool no_clear = false;
  std::uint64_t interval_ns = 1'000'000'000;
  // dump; its BINARY is in exe_globs
  std::string core;
  bool show_keys = false;
  bool redact = false;  ///< dossier export, too
  // dossier
  std::string dossier_action;  ///< ls, show, verify, export, rm
  std::string dossier_id;
  // replay
  std::string replay_file;
  // gate
  std::string slo;
  std::string prometheus;
  bool override_gate = false;
  std::string reason;
  std::string canary;
  std::string baseline;
  std::uint64_t since_ns = 3'600'000'000'000;
  // export
  std::vector<std::string> export_what;  ///< one word; completion SHELL: two
};

/// What parse() decided: options to act on, or text to print and leave with `status` (help, version, --print-config).
struct Parsed {
  Options options;
  std::optional<std::string> text;
  int status = 0;
  std::vector<std::string> warnings;  ///< for stderr: flags that were given and have no effect in this version
};

/// Resolves flag > MAPWATCH_* > config file > default by itself (CLI11 2.1.2 would put the file before the
/// environment). Every usage error is kUsage. `env` is the process environment as NAME=VALUE.
Result<Parsed> parse(const std::vector<std::string>& args, const std::vector<std::string>& env);

}  // namespace mapwatch::cli
