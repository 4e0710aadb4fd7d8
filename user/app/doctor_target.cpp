#include "app/doctor_target.h"

#include <map>
#include <string>

#include <fmt/format.h>

#include "app/go_process.h"
#include "attach/target.h"
#include "attach/target_lock.h"
#include "attach/text_check.h"
#include "elf/mapped_file.h"
#include "report/format.h"

namespace mapwatch::app {

namespace {

constexpr auto kOk = CheckStatus::kOk;
constexpr auto kWarn = CheckStatus::kWarn;
constexpr auto kFail = CheckStatus::kFail;

constexpr std::size_t kMaxNamedSiblings = 10;

Check failed(std::string name, const Error& error) { return {std::move(name), kFail, error.message, error.hint}; }

std::string op_text(mw_op op) {
  return op == MW_OP_FATAL ? "fatal" : op == MW_OP_THROW ? "throw" : std::string(report::op_word(op));
}

/// The process itself, and what of its text an attach would touch.
Check text_check(const attach::Target& target, const elf::GoBinary& binary, const attach::Plan& plan,
                 const proc::ProcFs& procfs) {
  const auto bias = target.load_bias(binary);
  if (!bias) {
    return failed("text", bias.error());
  }
  const auto memory = attach::ProcessMemory::open(target, procfs);
  if (!memory) {
    return failed("text", memory.error());
  }
  const auto notes = attach::verify_bytes(plan, binary, memory->reader(), *bias);
  if (!notes) {
    return failed("text", notes.error());
  }
  if (!notes->notes.empty()) {
    return {"text", kWarn, notes->notes.front(), ""};
  }
  return {"text", kOk, fmt::format("the process runs what its file says, at load bias {:#x}", *bias), ""};
}

std::vector<int> siblings_of(const attach::Target& target, const proc::ProcFs& procfs) {
  std::vector<int> siblings;
  const auto pids = procfs.pids();
  for (const int pid : pids ? *pids : std::vector<int>{}) {
    const auto exe = pid == target.pid() ? std::nullopt : std::optional(attach::Target::open(pid, procfs));
    if (exe && *exe && (*exe)->exe_dev() == target.exe_dev() && (*exe)->exe_inode() == target.exe_inode()) {
      siblings.push_back(pid);
    }
  }
  return siblings;
}

/// The checks of the executable; the plan when there is one.
std::optional<attach::Plan> check_binary(const elf::GoBinary& binary, std::vector<Check>& checks) {
  checks.push_back(version_check(binary.version(), binary.unverified()));
  checks.push_back(build_check(binary.traits()));
  checks.push_back(layout_check(binary.offsets(), binary.map_kind()));
  auto plan = attach::plan_probes(binary);
  if (!plan) {
    checks.push_back(failed("probes", plan.error()));
    return std::nullopt;
  }
  checks.push_back(plan_check(*plan));
  return std::move(*plan);
}

}  // namespace

Check version_check(const elf::GoVersion& version, bool unverified) {
  if (unverified) {
    return {"go_version", kWarn,
            fmt::format("unverified {}: newer than this mapwatch knows, the newest known layout is used", version.text),
            "update mapwatch; until then a program with DWARF is read exactly"};
  }
  return {"go_version", kOk, version.text, ""};
}

Check layout_check(const elf::Offsets& offsets, elf::MapKind kind) {
  const std::string facts = fmt::format("{} maps, goid at {} of g, writing mark at {} of the map (mask {:#x})",
                                        kind == elf::MapKind::kSwiss ? "Swiss" : "bucket", offsets.g_goid,
                                        offsets.map_mark, offsets.map_mark_mask);
  switch (offsets.source) {
    case elf::OffsetSource::kDwarf:
      return {"layout", kOk, "from the program's DWARF: " + facts, ""};
    case elf::OffsetSource::kTable:
      return {"layout", kOk, "from the table of Go versions: " + facts, ""};
    case elf::OffsetSource::kUnverified:
      break;
  }
  return {"layout", kWarn, "unverified, from the newest table entry: " + facts,
          "update mapwatch, or build the program without -s -w"};
}

Check build_check(const elf::BuildTraits& traits) {
  if (traits.race) {
    return {"build", kWarn, traits_text(traits) + ": built with -race, whose own detector sees more", ""};
  }
  return {"build", kOk, traits_text(traits), ""};
}

Check plan_check(const attach::Plan& plan) {
  std::map<mw_op, std::size_t> counts;
  for (const attach::ProbeSpec& probe : plan.probes) {
    ++counts[probe.op];
  }
  std::string detail;
  for (const auto& [op, count] : counts) {
    detail += fmt::format("{}{} {}", detail.empty() ? "" : ", ", count, op_text(op));
  }
  return {"probes", kOk,
          fmt::format("{} probes ({}); {} functions need none of their own (`watch --dry-run` tells why)",
                      plan.probes.size(), detail, plan.omissions.size()),
          ""};
}

Check cpu_limits_check(const attach::CpuLimits& limits) {
  if (limits.realtime) {
    return {"effective_cpus", kWarn, "a real-time thread: mark only, none of its goroutines is held", ""};
  }
  if (!limits.may_dwell()) {
    return {"effective_cpus", kWarn, "1: mark only, overlaps cannot be seen with one CPU",
            "give the process two CPUs or more (affinity, cpuset, quota, GOMAXPROCS)"};
  }
  return {"effective_cpus", kOk, std::to_string(limits.effective()), ""};
}

Check tracer_check(int tracer_pid, const std::string& tracer_name) {
  if (tracer_pid != 0) {
    return {"tracer", kWarn, fmt::format("traced by process {} ({})", tracer_pid, tracer_name),
            "a debugger that stops the process stops its warnings, too"};
  }
  return {"tracer", kOk, "none", ""};
}

Check siblings_check(const std::vector<int>& siblings, bool inode_wide) {
  if (siblings.empty()) {
    return {"siblings", kOk, "no other process runs this executable", ""};
  }
  std::string list;
  for (std::size_t i = 0; i < siblings.size() && i < kMaxNamedSiblings; ++i) {
    list += (i == 0 ? "" : ", ") + std::to_string(siblings[i]);
  }
  if (siblings.size() > kMaxNamedSiblings) {
    list += fmt::format(" and {} more", siblings.size() - kMaxNamedSiblings);
  }
  if (!inode_wide) {
    return {"siblings", kOk, "same executable, left unpatched: " + list, ""};
  }
  return {"siblings", kWarn, "same executable, patched too by an attach: " + list,
          "kernel 6.10 or newer patches the chosen process alone"};
}

std::vector<Check> check_target(int pid, const cli::Options& options, bool inode_wide) {
  const proc::ProcFs procfs(options.procfs);
  const auto target = attach::Target::open(pid, procfs);
  if (!target) {
    return {failed("target", target.error())};
  }
  std::vector<Check> checks;
  checks.push_back(
      {"target", kOk,
       fmt::format("process {} ({}), {} in its own PID namespace{}", pid, target->exe_path(), target->ns_pid(),
                   target->exe_deleted() ? "; its file was replaced or deleted since it started" : ""),
       ""});
  const auto file = elf::MappedFile::from_fd(target->exe_fd(), target->exe_path());
  if (!file) {
    checks.push_back(failed("executable", file.error()));
    return checks;
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    checks.push_back(failed("executable", binary.error()));
    return checks;
  }
  if (const auto plan = check_binary(*binary, checks)) {
    checks.push_back(text_check(*target, *binary, *plan, procfs));
  }
  const auto limits = attach::read_cpu_limits(pid, attach::CpuSources{procfs, "/sys"});
  checks.push_back(limits ? cpu_limits_check(*limits) : failed("effective_cpus", limits.error()));
  const auto holder = attach::TargetLock::holder(options.run_dir, pid, target->start_time());
  checks.push_back(holder ? Check{"lock", kFail, "watched already, by " + *holder, "stop that mapwatch first"}
                          : Check{"lock", kOk, "no other mapwatch watches it", ""});
  const auto status = procfs.status(pid);
  const int tracer = status ? status->tracer_pid : 0;
  checks.push_back(tracer_check(tracer, tracer != 0 ? procfs.comm(tracer).value_or("?") : ""));
  checks.push_back(siblings_check(siblings_of(*target, procfs), inode_wide));
  return checks;
}

}  // namespace mapwatch::app
