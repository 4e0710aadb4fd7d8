#include "app/doctor_host.h"

#include <linux/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "attach/host_features.h"
#include "attach/kernel.h"
#include "base/proc.h"

namespace mapwatch::app {

namespace {

constexpr auto kOk = CheckStatus::kOk;
constexpr auto kWarn = CheckStatus::kWarn;
constexpr auto kFail = CheckStatus::kFail;

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

std::optional<std::string> read_line(const std::string& path) {
  const auto text = proc::read_file(path, 65536);
  return text ? std::optional(first_line(*text)) : std::nullopt;
}

}  // namespace

bool Capabilities::sys_admin() const { return has(CAP_SYS_ADMIN); }
bool Capabilities::bpf() const { return has(CAP_BPF) || sys_admin(); }
bool Capabilities::perfmon() const { return has(CAP_PERFMON) || sys_admin(); }
bool Capabilities::sys_ptrace() const { return has(CAP_SYS_PTRACE); }

std::optional<Capabilities> parse_capabilities(std::string_view status_text) {
  constexpr std::string_view kKey = "CapEff:\t";
  const std::size_t at = status_text.find(kKey);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  Capabilities out;
  const char* begin = status_text.data() + at + kKey.size();
  const auto parsed = std::from_chars(begin, status_text.data() + status_text.size(), out.bits, 16);
  return parsed.ec == std::errc() ? std::optional(out) : std::nullopt;
}

Check kernel_check(std::string_view release) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(std::string(release).c_str(), "%d.%d", &major, &minor) != 2) {
    return {"kernel", kFail, fmt::format("release \"{}\" is not understood", release), ""};
  }
  if (major < 6 || (major == 6 && minor < 1)) {
    return {"kernel", kFail, fmt::format("{}: older than 6.1", release),
            "boot kernel 6.1 or newer; Debian 12's is enough"};
  }
  return {"kernel", kOk, std::string(release), ""};
}

Check arch_check(std::string_view machine) {
  if (machine != "x86_64") {
    return {"arch", kFail, fmt::format("{}: mapwatch knows amd64 only", machine), "run it on an x86_64 host"};
  }
  return {"arch", kOk, "x86_64", ""};
}

Check btf_check(bool present) {
  return {"btf", kOk, present ? "there" : "not there: who is taken off its CPU at a probe is not met, all else works",
          ""};
}

Check capabilities_check(const std::optional<Capabilities>& capabilities) {
  if (!capabilities) {
    return {"capabilities", kWarn, "cannot be read from /proc/self/status", ""};
  }
  std::string missing;
  const auto need = [&missing](bool there, std::string_view name) {
    if (!there) {
      missing += (missing.empty() ? "" : ", ") + std::string(name);
    }
  };
  need(capabilities->bpf(), "CAP_BPF (to load programs)");
  need(capabilities->perfmon(), "CAP_PERFMON (to attach them)");
  if (!missing.empty()) {
    return {"capabilities", kFail, "missing: " + missing,
            "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"};
  }
  need(capabilities->sys_ptrace(), "CAP_SYS_PTRACE (to read other users' processes)");
  need(capabilities->sys_admin(), "CAP_SYS_ADMIN (for perf_event uprobes only)");
  if (!capabilities->sys_ptrace()) {
    return {"capabilities", kWarn, "missing: " + missing, "add CAP_SYS_PTRACE to watch other users' processes"};
  }
  return {"capabilities", kOk, missing.empty() ? "all that is needed" : "enough; missing: " + missing, ""};
}

Check lockdown_check(const std::optional<std::string>& text) {
  if (!text) {
    return {"lockdown", kOk, "this kernel has none, or securityfs is not mounted", ""};
  }
  if (text->find("[confidentiality]") != std::string::npos) {
    return {"lockdown", kWarn, "confidentiality: the kernel may refuse to load tracing programs",
            "boot with lockdown=integrity if `programs` below fails"};
  }
  return {"lockdown", kOk, *text, ""};
}

Check paranoid_check(const std::optional<std::string>& text, const std::optional<Capabilities>& capabilities) {
  if (!text) {
    return {"perf_event_paranoid", kOk, "cannot be read; it binds processes without CAP_PERFMON only", ""};
  }
  if (capabilities && capabilities->perfmon()) {
    return {"perf_event_paranoid", kOk, *text + ", which does not bind a process with CAP_PERFMON", ""};
  }
  return {"perf_event_paranoid", kWarn, *text + ", and CAP_PERFMON is missing", "run as root, or with CAP_PERFMON"};
}

Check ring_check(const Result<void>& tried, std::uint64_t bytes) {
  if (!tried) {
    return {
        "ring_buffer", kFail, tried.error().message,
        tried.error().kind == ErrorKind::kPermission ? "run as root, or with CAP_BPF" : "give a smaller --ring-size"};
  }
  return {"ring_buffer", kOk, fmt::format("one of {} KiB can be created", bytes / 1024), ""};
}

Check programs_check(const Result<void>& loaded) {
  if (!loaded) {
    const bool permission = loaded.error().kind == ErrorKind::kPermission;
    return {"programs", kFail, loaded.error().message,
            permission ? "run as root, or with CAP_BPF and CAP_PERFMON" : "report this with the output of `uname -a`"};
  }
  return {"programs", kOk, "the kernel's verifier accepts mapwatch's BPF programs", ""};
}

Check multi_check(const Result<attach::SelfTest>& tested, bool perf_works, cli::AttachMode mode) {
  if (!tested) {
    return {"uprobe_multi", kFail, tested.error().message, tested.error().hint};
  }
  if (tested->uprobe_multi) {
    return {"uprobe_multi", kOk, "works", ""};
  }
  if (mode == cli::AttachMode::kMulti) {
    return {"uprobe_multi", kFail, tested->reason, "use --attach auto, or kernel 6.6 or newer"};
  }
  return {"uprobe_multi", perf_works ? kWarn : kFail,
          tested->reason + (perf_works ? "; perf_event uprobes are used, which detach slowly" : ""),
          "kernel 6.6 or newer has it"};
}

Check pid_filter_check(const attach::SelfTest& tested, cli::AttachMode mode) {
  if (mode == cli::AttachMode::kPerf || !tested.uprobe_multi || !tested.pid_filter) {
    return {"pid_filter", kWarn,
            "an attach patches every process that runs the same executable, at about a microsecond a hit",
            tested.uprobe_multi ? "" : "kernel 6.10 or newer patches the chosen process alone"};
  }
  return {"pid_filter", kOk, "an attach patches the chosen process alone (tested with a second thread)", ""};
}

Check hit_cost_check(const attach::SelfTest& tested, bool multi) {
  constexpr std::array<std::string_view, MW_SITE_ENTRY + 1> kNames = {"nop", "push", "jcc", "call", "entry"};
  Check check{"hit_cost", kOk, "", ""};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const double ns = tested.ns_per_hit[i];
    check.ns_per_hit.emplace_back(kNames[i], ns);
    check.detail +=
        fmt::format("{}{} {}", i > 0 ? ", " : "", kNames[i], ns > 0 ? fmt::format("{:.0f}", ns) : "unknown");
    if (ns <= 0) {
      check.status = kWarn;
      check.remedy = "what is not known here is charged by figures of other hosts; see uprobe_multi and perf_uprobe";
    }
  }
  check.detail += fmt::format(" ns for an empty probe by {}, here", multi ? "uprobe_multi" : "perf_event");
  return check;
}

Check perf_check(const Result<void>& tried, bool multi_works, cli::AttachMode mode) {
  if (tried) {
    return {"perf_uprobe", kOk, "works", ""};
  }
  if (multi_works && mode != cli::AttachMode::kPerf) {
    return {"perf_uprobe", kOk, tried.error().message + "; not needed: uprobe_multi works", ""};
  }
  return {"perf_uprobe", kFail, tried.error().message,
          tried.error().kind == ErrorKind::kPermission ? "run as root, or with CAP_SYS_ADMIN" : tried.error().hint};
}

Check pid_namespace_check(std::string_view link) {
  // PROC_PID_INIT_INO, include/linux/proc_ns.h (Linux 6.1-6.18).
  if (link == "pid:[4026531836]") {
    return {"pid_namespace", kOk, "the initial one", ""};
  }
  return {"pid_namespace", kFail,
          fmt::format("{}, not the initial one: the kernel reports other PIDs than this /proc", link),
          "run mapwatch on the host, or in a container with the host's PID namespace (--pid=host, hostPID: true)"};
}

Check procfs_check(const std::string& root, bool lists_processes, bool shows_pid_1) {
  if (!lists_processes) {
    return {"procfs", kFail, root + " lists no processes", "mount proc there, or give --procfs DIR"};
  }
  if (!shows_pid_1) {
    return {"procfs", kWarn, root + " hides other users' processes (hidepid)",
            "run as root, or mount it with hidepid=0"};
  }
  return {"procfs", kOk, root + " shows all processes", ""};
}

Check run_dir_check(const std::string& directory) {
  std::filesystem::path existing = directory;
  std::error_code error;
  while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  if (!std::filesystem::is_directory(existing, error) || ::access(existing.c_str(), W_OK | X_OK) != 0) {
    return {"run_dir", kFail, directory + " cannot be written, so no target can be locked",
            "run as root, or give a directory of yours with --run-dir"};
  }
  return {"run_dir", kOk, directory + (existing == directory ? " is writable" : " can be created"), ""};
}

Check cpus_check(unsigned online) {
  if (online < 2) {
    return {"cpus", kWarn, "one CPU: writing marks are watched, overlaps are not (nobody else can arrive meanwhile)",
            ""};
  }
  return {"cpus", kOk, fmt::format("{} online", online), ""};
}

HostReport check_host(const cli::Options& options) {
  utsname name = {};
  ::uname(&name);
  const auto status = proc::read_file("/proc/self/status");
  const auto capabilities = status ? parse_capabilities(*status) : std::nullopt;
  std::error_code error;
  const proc::ProcFs procfs(options.procfs);
  const auto pids = procfs.pids();

  const Result<attach::SelfTest> tested = attach::self_test(options.attach == cli::AttachMode::kPerf);
  const bool multi = tested && tested->uprobe_multi && options.attach != cli::AttachMode::kPerf;
  const Result<void> perf = attach::try_perf_uprobe();
  attach::Kernel::Options load;
  load.ring_size = options.ring_size;
  load.link = multi ? attach::LinkKind::kMulti : attach::LinkKind::kPerf;
  const Result<void> loaded = attach::Kernel::load(load).map([](const attach::Kernel&) {});

  HostReport report;
  report.inode_wide = !multi || !tested->pid_filter;
  report.checks = {
      kernel_check(name.release),
      arch_check(name.machine),
      cpus_check(std::thread::hardware_concurrency()),
      btf_check(std::filesystem::exists("/sys/kernel/btf/vmlinux", error)),
      capabilities_check(capabilities),
      lockdown_check(read_line("/sys/kernel/security/lockdown")),
      paranoid_check(read_line("/proc/sys/kernel/perf_event_paranoid"), capabilities),
      {"memlock", kOk, "not needed: since kernel 5.11 BPF memory is charged to the cgroup", ""},
      pid_namespace_check(std::filesystem::read_symlink("/proc/self/ns/pid", error).string()),
      procfs_check(options.procfs, pids && !pids->empty(), procfs.stat(1).has_value()),
      run_dir_check(options.run_dir),
      ring_check(attach::try_ring(options.ring_size), options.ring_size),
      programs_check(loaded),
      multi_check(tested, perf.has_value(), options.attach),
      perf_check(perf, tested && tested->uprobe_multi, options.attach),
  };
  if (tested) {
    report.checks.push_back(pid_filter_check(*tested, options.attach));
    report.checks.push_back(hit_cost_check(*tested, multi));
  }
  return report;
}

}  // namespace mapwatch::app
