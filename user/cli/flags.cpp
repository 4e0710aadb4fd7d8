#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cctype>

#include "base/listen_address.h"
#include "cli/alert_flags.h"
#include "cli/values.h"

namespace mapwatch::cli {

namespace {

constexpr CommandSet kWatch = bit(Command::kWatch);
constexpr CommandSet kRun = bit(Command::kRun);
constexpr CommandSet kLs = bit(Command::kLs);
constexpr CommandSet kDoctor = bit(Command::kDoctor);
constexpr CommandSet kReplay = bit(Command::kReplay);
constexpr CommandSet kThaw = bit(Command::kThaw);
constexpr CommandSet kDump = bit(Command::kDump);
constexpr CommandSet kDossier = bit(Command::kDossier);
constexpr CommandSet kTop = bit(Command::kTop);
constexpr CommandSet kDaemon = bit(Command::kDaemon);
constexpr CommandSet kGate = bit(Command::kGate);
constexpr CommandSet kEnds = kWatch | kRun | kTop | kLs | kDoctor | kReplay;  // by what they find, or by time
constexpr CommandSet kEvery = kEnds | kDaemon;
constexpr CommandSet kSelect = kWatch | kTop;  // choose processes that are there
constexpr CommandSet kTimed = kSelect | kRun;
constexpr CommandSet kLive = kTimed | kDaemon;                           // attach probes
constexpr CommandSet kFinds = kWatch | kRun | kTop | kReplay | kDaemon;  // print findings
constexpr CommandSet kFindsEnds = kFinds & kEnds;
constexpr CommandSet kAlerts = kWatch | kRun | kDaemon;  // tell others of them

/// The longest dwell that may be asked for: a goroutine held in the kernel delays whoever waits for its lock.
constexpr std::uint64_t kMaxDwellNs = 1'000'000;
constexpr std::uint64_t kMinIntervalNs = 100'000'000;
constexpr std::uint64_t kMaxIntervalNs = 3'600'000'000'000;
constexpr std::uint64_t kMaxFreezeNs = 60'000'000'000;
constexpr std::uint64_t kMinSinceNs = 60'000'000'000;
constexpr std::uint64_t kMaxSinceNs = 259'200'000'000'000;  // as long as minutes are kept (ops/history.h)
constexpr std::uint64_t kMinRingBytes = 4096;               // a page: the kernel's own bound for a ring buffer
constexpr std::uint64_t kMaxRingBytes = 1ull << 30;
constexpr std::uint64_t kMaxPid = 4'194'304;  // PID_MAX_LIMIT, include/linux/threads.h

constexpr CommandSpec kCommands[] = {
    {Command::kRun, "run", "[flags] -- CMD ARGS...", "start CMD and warn of concurrent map access in it"},
    {Command::kWatch, "watch", "[-p PID[,PID].. | -a | -n NAME | -x EXE_GLOB | --cgroup PATH] [flags]",
     "warn of concurrent map access in live Go processes"},
    {Command::kTop, "top", "[-p PID[,PID].. | -a | -n NAME | -x EXE_GLOB | --cgroup PATH] [--once] [flags]",
     "a live table of Go processes: map operations, what is armed, what that costs, hazards"},
    {Command::kLs, "ls", "[-a] [flags]", "list Go processes and whether they can be watched"},
    {Command::kDoctor, "doctor", "[-p PID] [flags]", "say what this host and a target allow"},
    {Command::kThaw, "thaw", "[-p PID | --all] [flags]", "let go of processes that a killed mapwatch left frozen"},
    {Command::kDump, "dump", "-p PID | --core FILE --exe BINARY [flags]",
     "show all goroutines of a live Go process or a core file, and the maps they are inside of"},
    {Command::kDossier, "dossier", "ls | show ID | verify ID | export ID [--redact] | rm ID [flags]",
     "list, show, check, pack and remove what was kept of crashes"},
    {Command::kReplay, "replay", "FILE [flags]", "report on a recorded event stream; needs no root"},
    {Command::kDaemon, "daemon", "[--config FILE] [flags]",
     "watch every Go process for good, with metrics; for a service manager"},
    {Command::kGate, "gate",
     "--slo FILE [--prometheus URL] [--override --reason R] | --canary GLOB --baseline GLOB [--since DUR]",
     "say by the exit status whether an error budget allows a change, or a canary is to be rolled back"},
    {Command::kExport, "export", "dashboard | rules | unit | k8s | man | completion SHELL | schema",
     "print what Grafana, Prometheus, systemd, Kubernetes, man, a shell or a reader of JSON needs of mapwatch"},
};

constexpr std::string_view kLaterCommands[] = {"chaos", "net"};

template <typename T>
struct Choice {
  std::string_view name;
  T value;
};

template <typename T, std::size_t N>
Result<void> choose(T& field, const std::string& text, const Choice<T> (&choices)[N]) {
  std::string names;
  for (const Choice<T>& choice : choices) {
    if (choice.name == text) {
      field = choice.value;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(choice.name);
  }
  return fail(ErrorKind::kUsage, fmt::format("\"{}\" is none of {}", text, names));
}

Result<void> set_bool(bool& field, const std::string& text) {
  field = TRY(parse_bool(text));
  return {};
}

Result<void> add_pids(Options& options, const std::string& text) {
  std::string_view rest = text;
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    more = comma != std::string_view::npos;
    const int pid = static_cast<int>(TRY(parse_number(rest.substr(0, comma), 1, kMaxPid)));
    rest.remove_prefix(more ? comma + 1 : rest.size());
    if (std::find(options.pids.begin(), options.pids.end(), pid) == options.pids.end()) {
      options.pids.push_back(pid);
    }
  }
  return {};
}

Result<void> add_text(std::vector<std::string>& field, const std::string& text) {
  if (text.empty()) {
    return fail(ErrorKind::kUsage, "the value is empty");
  }
  field.push_back(text);
  return {};
}

Result<void> set_text(std::string& field, const std::string& text) {
  field = text;
  return {};
}

Result<void> set_directory(std::string& field, const std::string& text) {
  if (text.empty() || text.front() != '/') {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no absolute path", text));
  }
  field = text;
  return {};
}

Result<void> set_duration(Options& options, const std::string& text) {
  const std::uint64_t ns = TRY(parse_duration(text));
  if (ns == 0) {
    return fail(ErrorKind::kUsage, "a duration of 0 watches nothing");
  }
  options.duration_ns = ns;
  return {};
}

Result<void> set_dwell(Options& options, const std::string& text) {
  if (text == "auto") {
    options.dwell_ns.reset();
    return {};
  }
  const std::uint64_t ns = TRY(parse_duration(text));
  if (ns == 0 || ns > kMaxDwellNs) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not from 1ns to 1ms", text),
                "a dwell holds a goroutine of the target: 50us is usual, 200us is long");
  }
  options.dwell_ns = ns;
  return {};
}

Result<void> set_budget(Options& options, const std::string& text) {
  const double share = TRY(parse_percent(text));
  if (share <= 0 || share > 1) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not above 0% and at most 100%", text));
  }
  options.budget = share;
  return {};
}

Result<void> set_sample(Options& options, const std::string& text) {
  if (text != "auto" && text != "full") {
    const bool fraction = text.starts_with("1/");
    if (!fraction || !parse_number(std::string_view(text).substr(2), 1, 1'000'000)) {
      return fail(ErrorKind::kUsage, fmt::format("\"{}\" is none of auto, full, 1/N", text));
    }
  }
  options.sample = text;
  return {};
}

Result<void> set_interval(Options& options, const std::string& text) {
  options.interval_ns = TRY(parse_duration_within(text, kMinIntervalNs, kMaxIntervalNs, "100ms to 1h"));
  return {};
}

Result<void> set_max_freeze(Options& options, const std::string& text) {
  const std::uint64_t ns = TRY(parse_duration(text));
  if (ns == 0 || ns > kMaxFreezeNs) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not above 0 and at most 1m", text));
  }
  options.max_freeze_ns = ns;
  return {};
}

Result<void> set_since(Options& options, const std::string& text) {
  options.since_ns = TRY(parse_duration_within(text, kMinSinceNs, kMaxSinceNs, "1m to 72h"));
  return {};
}

Result<void> set_ring_size(Options& options, const std::string& text) {
  const std::uint64_t bytes = TRY(parse_size(text));
  if (bytes < kMinRingBytes || bytes > kMaxRingBytes || !std::has_single_bit(bytes)) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no power of two from 4K to 1G", text), "try 8M");
  }
  options.ring_size = bytes;
  return {};
}

Result<void> set_listen(Options& options, const std::string& text) {
  if (text == "none") {
    options.metrics_listen.clear();
    return {};
  }
  TRY(parse_listen_address(text));
  options.metrics_listen = text;
  return {};
}

using T = const std::string&;
using O = Options&;
constexpr Choice<Output> kOutputs[] = {{"text", Output::kText}, {"compact", Output::kCompact}, {"json", Output::kJson}};
constexpr Choice<When> kWhens[] = {{"auto", When::kAuto}, {"always", When::kAlways}, {"never", When::kNever}};
constexpr Choice<AttachMode> kModes[] = {
    {"auto", AttachMode::kAuto}, {"multi", AttachMode::kMulti}, {"perf", AttachMode::kPerf}};
constexpr Choice<const char*> kOnCrash[] = {{"report", "report"}, {"core", "core"}, {"none", "none"}};
constexpr Choice<const char*> kOnFatal[] = {{"map", "map"}, {"all", "all"}};

template <std::size_t N>
Result<void> choose_name(std::string& field, const std::string& text, const Choice<const char*> (&choices)[N]) {
  const char* name = nullptr;
  TRY(choose(name, text, choices));
  field = name;
  return {};
}

constexpr auto kSwitch = FlagKind::kSwitch;
constexpr auto kCount = FlagKind::kCount;
constexpr auto kValue = FlagKind::kValue;
constexpr auto kList = FlagKind::kList;

// clang-format off
constexpr FlagSpec kFlags[] = {
    // What to watch.
    {"pid", 'p', kList, kSelect | kDoctor | kThaw | kDump, kSelect | kDoctor | kThaw | kDump, "PID[,PID]..", "these processes", "", false, add_pids},
    {"name", 'n', kList, kLive, kLive, "NAME", "processes of this name (comm or base name of the executable)", "", false,
     [](O o, T t) { return add_text(o.names, t); }, InTarget::kSelects},
    {"exe", 'x', kList, kLive | kDump, kLive | kDump, "EXE_GLOB", "processes whose executable's path matches; dump: the core's program", "", false,
     [](O o, T t) { return add_text(o.exe_globs, t); }, InTarget::kSelects},
    {"cgroup", 0, kValue, kSelect | kDaemon, kSelect | kDaemon, "PATH", "processes of this cgroup and those below it", "", false,
     [](O o, T t) { return set_text(o.cgroup, t); }, InTarget::kSelects},
    {"exclude", 0, kList, kLive, kLive, "GLOB", "but none whose name or executable matches", "", false,
     [](O o, T t) { return add_text(o.excludes, t); }},
    {"all", 'a', kSwitch, kSelect | kDaemon | kLs | kThaw, kSelect | kDaemon | kLs | kThaw, "", "every Go process, other users' too; watch, top, daemon: new ones as they start", "false", false,
     [](O o, T t) { return set_bool(o.all, t); }},
    {"follow", 0, kSwitch, kRun, kRun, "", "watch CMD's descendants too: run --follow -- go test ./...", "false", false,
     [](O o, T t) { return set_bool(o.follow, t); }},
    {"duration", 'd', kValue, kTimed, kTimed, "DUR", "stop watching after that long (30s, 5m)", "", false, set_duration},
    {"once", 0, kSwitch, kTop, kTop, "", "print one table of one interval and end", "false", false,
     [](O o, T t) { return set_bool(o.once, t); }},
    {"interval", 'i', kValue, kTop | kDaemon, kTop | kDaemon, "DUR", "how often the table or the metrics are made anew, 100ms to 1h", "1s", false, set_interval},
    {"no-clear", 0, kSwitch, kTop, kTop, "", "print one table after the other, as to a pipe", "false", false,
     [](O o, T t) { return set_bool(o.no_clear, t); }},
    {"dry-run", 0, kSwitch, kWatch | kRun, kWatch | kRun, "", "print the probes that would be set, and set none", "false", false,
     [](O o, T t) { return set_bool(o.dry_run, t); }},
    {"core", 0, kValue, kDump, kDump, "FILE", "read this core file instead of a process", "", false,
     [](O o, T t) { return set_text(o.core, t); }},
    {"show-keys", 0, kSwitch, kDump, kDump, "", "with up to 100 entries of each map in use", "false", false,
     [](O o, T t) { return set_bool(o.show_keys, t); }},
    {"redact", 0, kSwitch, kDump | kDossier, kDump | kDossier, "",
     "dump: of keys and values only their shapes; dossier export: no paths, variables, registers, labels", "false", false,
     [](O o, T t) { return set_bool(o.redact, t); }},
    {"metrics-listen", 0, kValue, kDaemon, kDaemon, "ADDRESS", "serve metrics at IP:PORT or unix:PATH; none: nowhere", "127.0.0.1:9750", false, set_listen},
    {"web-config-file", 0, kValue, kDaemon, kDaemon, "FILE", "serve them by TLS, with passwords, as this web configuration file of Prometheus' exporters says", "", false,
     [](O o, T t) { return set_text(o.web_config_file, t); }},
    // gate.
    {"slo", 0, kValue, kGate, kGate, "FILE", "the objectives, as YAML", "", false, [](O o, T t) { return set_text(o.slo, t); }},
    {"prometheus", 0, kValue, kGate, kGate, "URL", "ask this Prometheus; without it the history that the daemon of this host writes", "", false,
     [](O o, T t) { return set_text(o.prometheus, t); }},
    {"override", 0, kSwitch, kGate, kGate, "", "let it through all the same, and keep the reason", "false", false,
     [](O o, T t) { return set_bool(o.override_gate, t); }},
    {"reason", 0, kValue, kGate, kGate, "R", "why, for --override", "", false, [](O o, T t) { return set_text(o.reason, t); }},
    {"canary", 0, kValue, kGate, kGate, "GLOB", "executables of the new version", "", false, [](O o, T t) { return set_text(o.canary, t); }},
    {"baseline", 0, kValue, kGate, kGate, "GLOB", "executables to compare it with", "", false, [](O o, T t) { return set_text(o.baseline, t); }},
    {"since", 0, kValue, kGate, kGate, "DUR", "compare the time since then, 1m to 72h", "1h", false, set_since},
    // What to print.
    {"output", 'o', kValue, kEvery | kDump | kDossier | kGate, kEvery | kDump | kDossier | kGate, "text|compact|json", "form of the output", "text", false,
     [](O o, T t) { return choose(o.output, t, kOutputs); }},
    {"timestamps", 'T', kSwitch, kEvery, kFinds, "", "a time in front of each finding", "false", false,
     [](O o, T t) { return set_bool(o.timestamps, t); }},
    {"quiet", 'q', kSwitch, kEvery | kThaw | kDump | kDossier | kGate, kEvery | kThaw | kDump | kDossier | kGate, "", "only errors on stderr", "false", false,
     [](O o, T t) { return set_bool(o.quiet, t); }},
    {"verbose", 'v', kCount, kEvery | kThaw | kDump | kDossier, kEvery | kThaw | kDump | kDossier, "", "more on stderr, -vv: all; dump: each goroutine by itself, -vv: the runtime's too", "0", false,
     [](O o, T t) -> Result<void> { o.verbose = static_cast<int>(TRY(parse_number(t, 0, 100))); return {}; }},
    {"color", 0, kValue, kEvery, kFinds, "auto|always|never", "colour of the text form", "auto", false,
     [](O o, T t) { return choose(o.color, t, kWhens); }},
    {"log-path", 0, kValue, kEvery, kFinds, "FILE", "findings go to FILE", "", false,
     [](O o, T t) { return set_text(o.log_path, t); }},
    {"strip-path-prefix", 0, kValue, kEvery, kFinds, "P", "leave P out of file names", "", false,
     [](O o, T t) { return set_text(o.strip_path_prefix, t); }},
    {"suppressions", 0, kValue, kEvery, kFinds, "FILE", "findings not to print", "", false,
     [](O o, T t) { return set_text(o.suppressions, t); }},
    {"max-reports", 0, kValue, kEnds, kFindsEnds, "N", "stop after N findings", "", false,
     [](O o, T t) -> Result<void> { o.max_reports = TRY(parse_number(t, 1, 1'000'000'000)); return {}; }},
    {"halt-on-first", 0, kSwitch, kEnds, kFindsEnds, "", "stop after the first finding", "false", false,
     [](O o, T t) { return set_bool(o.halt_on_first, t); }},
    {"exit-code", 0, kValue, kEnds, kFindsEnds, "N", "status when hazards were found, 0: off (66 for run, else 0)", "", false,
     [](O o, T t) -> Result<void> { o.exit_code = static_cast<int>(TRY(parse_number(t, 0, 255))); return {}; }},
    {"on-fatal", 0, kValue, kEvery, kFinds, "map|all", "report crashes of maps only, or every fatal error", "map", false,
     [](O o, T t) { return choose_name(o.on_fatal, t, kOnFatal); }},
    {"on-crash", 0, kValue, kEvery, kLive, "report|core|none", "freeze a crashing process for its report and dossier; none: do not",
     "report", false, [](O o, T t) { return choose_name(o.on_crash, t, kOnCrash); }},
    {"max-freeze", 0, kValue, kEvery | kDump, kLive | kDump, "DUR", "let a frozen process go after that long, whatever happens", "2s", false, set_max_freeze},
    {"record", 0, kValue, kEvery, kLive, "FILE", "write the event stream to FILE, for replay", "", false,
     [](O o, T t) { return set_text(o.record, t); }},
    // How to watch.
    {"dwell", 0, kValue, kEvery, kLive, "auto|DUR", "the longest that a goroutine is held to see an overlap", "auto", false, set_dwell, InTarget::kSets},
    {"budget", 0, kValue, kEvery, kLive, "PERCENT", "share of a target's time that it may be held, with --sample auto that it may be charged in all", "1%", false, set_budget, InTarget::kSets},
    {"sample", 0, kValue, kEvery, kLive, "auto|full|1/N", "auto: arm as much as --budget allows (with -a, unless told otherwise); full: see every operation; 1/N: see one in N", "full", false, set_sample, InTarget::kSets},
    {"attach", 0, kValue, kEvery, kLive | kDoctor, "auto|multi|perf", "kind of probe", "auto", false,
     [](O o, T t) { return choose(o.attach, t, kModes); }},
    {"ring-size", 0, kValue, kEvery, kLive | kDoctor, "SIZE", "bytes of the event ring", "8M", false, set_ring_size},
    {"procfs", 0, kValue, kEvery | kThaw | kDump, kLive | kLs | kDoctor | kThaw | kDump, "DIR", "where the host's /proc is mounted", "/proc", false,
     [](O o, T t) { return set_directory(o.procfs, t); }},
    {"run-dir", 0, kValue, kEvery | kThaw, kLive | kDoctor | kThaw, "DIR", "where the lock and the record of a watched process are", "/run/mapwatch", false,
     [](O o, T t) { return set_directory(o.run_dir, t); }},
    {"state-dir", 0, kValue, kEvery | kDossier | kGate, kLive | kDossier | kGate, "DIR", "where dossiers and the history are kept (root: /var/lib/mapwatch, else $XDG_STATE_HOME/mapwatch)", "", false,
     [](O o, T t) { return set_directory(o.state_dir, t); }},
    // Whom to tell.
    {"webhook", 0, kValue, kAlerts, kAlerts, "URL", "send findings there as alerts, in the form of Alertmanager's webhooks", "", false, set_webhook},
    {"webhook-secret-file", 0, kValue, kAlerts, kAlerts, "FILE", "sign them by the key in FILE", "", false,
     [](O o, T t) { return set_text(o.webhook_secret_file, t); }},
    {"webhook-ca", 0, kValue, kAlerts, kAlerts, "FILE", "trust the certificates in FILE instead of the system's", "", false,
     [](O o, T t) { return set_text(o.webhook_ca, t); }},
    {"alertmanager", 0, kValue, kAlerts, kAlerts, "URL", "tell the Alertmanager there of findings", "", false, set_alertmanager},
    {"alert-wait", 0, kValue, kAlerts, kAlerts, "DUR", "tell of a group of alerts that long after its first, 0 to 10m", "2s", false, set_alert_wait},
    {"alert-interval", 0, kValue, kAlerts, kAlerts, "DUR", "tell of one group no more often, 0 to 24h", "1m", false, set_alert_interval},
    {"alert-repeat", 0, kValue, kAlerts, kAlerts, "DUR", "tell again of what goes on, 1m to 720h", "4h", false, set_alert_repeat},
    {"alert-resolve", 0, kValue, kAlerts, kAlerts, "DUR", "what was not seen for so long is over, 10s to 720h", "15m", false, set_alert_resolve},
    {"alert-spool", 0, kValue, kAlerts, kAlerts, "SIZE", "keep so much for a receiver that is down, then give up the oldest", "8M", false, set_alert_spool},
    {"exec", 0, kValue, kEvery, kAlerts, "CMD", "run CMD for each finding, its JSON on stdin; no shell", "", false, set_exec},
    {"exec-user", 0, kValue, kAlerts, kAlerts, "USER", "run it as USER (nobody, when mapwatch is root)", "", false,
     [](O o, T t) { return set_text(o.exec_user, t); }},
    {"exec-timeout", 0, kValue, kAlerts, kAlerts, "DUR", "kill it after that long, 100ms to 1h", "10s", false, set_exec_timeout},
    {"exec-max", 0, kValue, kAlerts, kAlerts, "N", "run so many at once, 1 to 64", "4", false, set_exec_max},
    {"journal", 0, kValue, kAlerts, kAlerts, "auto|always|never", "findings to systemd's journal, in fields; auto: when stderr goes there", "auto", false,
     [](O o, T t) { return choose(o.journal, t, kWhens); }},
};
// clang-format on

}  // namespace

std::span<const CommandSpec> commands() { return kCommands; }

const CommandSpec* find_command(std::string_view name) {
  const auto* found = std::find_if(std::begin(kCommands), std::end(kCommands),
                                   [&](const CommandSpec& command) { return command.name == name; });
  return found == std::end(kCommands) ? nullptr : found;
}

std::string_view command_name(Command command) {
  for (const CommandSpec& spec : kCommands) {
    if (spec.command == command) {
      return spec.name;
    }
  }
  return "mapwatch";
}

bool is_later_command(std::string_view name) {
  return std::find(std::begin(kLaterCommands), std::end(kLaterCommands), name) != std::end(kLaterCommands);
}

std::span<const FlagSpec> flags() { return kFlags; }

const FlagSpec* find_flag(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kFlags), std::end(kFlags), [&](const FlagSpec& flag) { return flag.name == name; });
  return found == std::end(kFlags) ? nullptr : found;
}

std::string FlagSpec::env_name() const {
  std::string result = "MAPWATCH_";
  for (const char c : name) {
    result += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return result;
}

}  // namespace mapwatch::cli
