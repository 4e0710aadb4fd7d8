// What this host allows. Each judgement is a function of a fact, so that tests can tell of hosts they do not run on;
// check_host gathers the facts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/doctor_check.h"
#include "attach/self_test.h"
#include "base/result.h"
#include "cli/options.h"

namespace mapwatch::app {

/// Effective capabilities as /proc/self/status CapEff has them.
struct Capabilities {
  std::uint64_t bits = 0;
  bool has(unsigned capability) const { return ((bits >> capability) & 1) != 0; }
  /// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel's bpf_capable() and perfmon_capable().
  bool bpf() const;
  bool perfmon() const;
  bool sys_admin() const;
  bool sys_ptrace() const;
};

std::optional<Capabilities> parse_capabilities(std::string_view status_text);

Check kernel_check(std::string_view release);
Check arch_check(std::string_view machine);
Check btf_check(bool present);
Check capabilities_check(const std::optional<Capabilities>& capabilities);
/// `text`: /sys/kernel/security/lockdown, "none [integrity] confidentiality"; nullopt: the kernel has no lockdown.
Check lockdown_check(const std::optional<std::string>& text);
Check paranoid_check(const std::optional<std::string>& text, const std::optional<Capabilities>& capabilities);
Check ring_check(const Result<void>& tried, std::uint64_t bytes);
Check programs_check(const Result<void>& loaded);
/// `perf_works`: the older kind of probe can be had instead.
Check multi_check(const Result<attach::SelfTest>& tested, bool perf_works, cli::AttachMode mode);
Check pid_filter_check(const attach::SelfTest& tested, cli::AttachMode mode);
/// `multi`: by which kind of link it was measured.
Check hit_cost_check(const attach::SelfTest& tested, bool multi);
Check perf_check(const Result<void>& tried, bool multi_works, cli::AttachMode mode);
/// `link`: target of /proc/self/ns/pid, "pid:[4026531836]".
Check pid_namespace_check(std::string_view link);
Check procfs_check(const std::string& root, bool lists_processes, bool shows_pid_1);
Check run_dir_check(const std::string& directory);
Check cpus_check(unsigned online);

struct HostReport {
  std::vector<Check> checks;
  bool inode_wide = false;  ///< an attach would patch every process of the executable
};

/// Gathers the facts and judges them. Loads the BPF programs and lets go of them again; changes nothing.
HostReport check_host(const cli::Options& options);

}  // namespace mapwatch::app
