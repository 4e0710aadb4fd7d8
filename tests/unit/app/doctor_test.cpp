#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "app/doctor_host.h"
#include "app/doctor_target.h"

namespace mapwatch::app {
namespace {

constexpr auto kOk = CheckStatus::kOk;
constexpr auto kWarn = CheckStatus::kWarn;
constexpr auto kFail = CheckStatus::kFail;

Capabilities with(std::initializer_list<unsigned> bits) {
  Capabilities out;
  for (const unsigned bit : bits) {
    out.bits |= 1ull << bit;
  }
  return out;
}
constexpr unsigned kSysPtrace = 19;
constexpr unsigned kSysAdmin = 21;
constexpr unsigned kPerfmon = 38;
constexpr unsigned kBpf = 39;

Result<void> error(ErrorKind kind) { return fail(kind, "the cause", "the hint"); }

TEST(DoctorHost, KernelFrom61) {
  EXPECT_EQ(kernel_check("6.1.0-21-amd64").status, kOk);
  EXPECT_EQ(kernel_check("7.0.1").status, kOk);
  for (const char* release : {"6.0.19", "5.15.0", "4.19", "", "linux"}) {
    const Check check = kernel_check(release);
    EXPECT_EQ(check.status, kFail) << release;
  }
  EXPECT_NE(kernel_check("5.15.0").remedy.find("6.1"), std::string::npos);
}

TEST(DoctorHost, OtherArchitecturesAreRefusedByName) {
  EXPECT_EQ(arch_check("x86_64").status, kOk);
  EXPECT_EQ(arch_check("aarch64").status, kFail);
  EXPECT_NE(arch_check("aarch64").detail.find("aarch64"), std::string::npos);
}

TEST(DoctorHost, BtfIsNeverNeeded) {
  EXPECT_EQ(btf_check(false).status, kOk);
  EXPECT_EQ(btf_check(true).status, kOk);
}

TEST(DoctorHost, CapabilitiesByName) {
  const auto parsed = parse_capabilities("Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000000c000080000\n");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->bits, with({kSysPtrace, kPerfmon, kBpf}).bits);
  EXPECT_FALSE(parse_capabilities("CapEff:\tzz"));
  EXPECT_FALSE(parse_capabilities("CapEff:"));

  EXPECT_EQ(capabilities_check(with({kBpf, kPerfmon, kSysPtrace, kSysAdmin})).status, kOk);
  const Check least = capabilities_check(with({kBpf, kPerfmon, kSysPtrace}));
  EXPECT_EQ(least.status, kOk);
  EXPECT_NE(least.detail.find("CAP_SYS_ADMIN"), std::string::npos);
  const Check own = capabilities_check(with({kSysAdmin}));
  EXPECT_EQ(own.status, kWarn);
  EXPECT_NE(own.detail.find("CAP_SYS_PTRACE"), std::string::npos);
  const Check no_bpf = capabilities_check(with({kPerfmon}));
  EXPECT_EQ(no_bpf.status, kFail);
  EXPECT_NE(no_bpf.detail.find("CAP_BPF"), std::string::npos);
  EXPECT_EQ(no_bpf.detail.find("CAP_PERFMON"), std::string::npos);
  EXPECT_EQ(capabilities_check(with({})).status, kFail);
}

TEST(DoctorHost, LockdownAndParanoid) {
  EXPECT_EQ(lockdown_check(std::nullopt).status, kOk);
  EXPECT_EQ(lockdown_check("none [integrity] confidentiality").status, kOk);
  EXPECT_EQ(lockdown_check("none integrity [confidentiality]").status, kWarn);
  EXPECT_EQ(paranoid_check("3", with({kPerfmon})).status, kOk);
  EXPECT_EQ(paranoid_check("3", with({})).status, kWarn);
  EXPECT_EQ(paranoid_check(std::nullopt, with({})).status, kOk);
}

TEST(DoctorHost, RemedyFollowsTheCause) {
  EXPECT_EQ(ring_check({}, 8u << 20).status, kOk);
  EXPECT_NE(ring_check(error(ErrorKind::kPermission), 4096).remedy.find("CAP_BPF"), std::string::npos);
  EXPECT_NE(ring_check(error(ErrorKind::kFailed), 4096).remedy.find("--ring-size"), std::string::npos);
  EXPECT_EQ(programs_check({}).status, kOk);
  EXPECT_EQ(programs_check(error(ErrorKind::kFailed)).detail, "the cause");
  EXPECT_EQ(programs_check(error(ErrorKind::kFailed)).status, kFail);
  EXPECT_NE(programs_check(error(ErrorKind::kPermission)).remedy.find("CAP_BPF"), std::string::npos);
}

TEST(DoctorHost, WithoutUprobeMultiThereIsPerf) {
  const attach::SelfTest works{.uprobe_multi = true, .pid_filter = true, .ns_per_hit = {}, .reason = ""};
  const attach::SelfTest old{.uprobe_multi = false, .pid_filter = false, .ns_per_hit = {}, .reason = "refused"};
  const auto kAuto = cli::AttachMode::kAuto;
  EXPECT_EQ(multi_check(works, true, kAuto).status, kOk);
  EXPECT_EQ(multi_check(old, true, kAuto).status, kWarn);
  EXPECT_EQ(multi_check(old, false, kAuto).status, kFail);
  EXPECT_EQ(multi_check(old, true, cli::AttachMode::kMulti).status, kFail);
  EXPECT_EQ(multi_check(fail(ErrorKind::kPermission, "no", "root"), true, kAuto).status, kFail);

  EXPECT_EQ(perf_check({}, false, kAuto).status, kOk);
  EXPECT_EQ(perf_check(error(ErrorKind::kPermission), true, kAuto).status, kOk);
  EXPECT_EQ(perf_check(error(ErrorKind::kPermission), true, cli::AttachMode::kPerf).status, kFail);
  EXPECT_EQ(perf_check(error(ErrorKind::kPermission), false, kAuto).status, kFail);

  EXPECT_EQ(pid_filter_check(works, kAuto).status, kOk);
  EXPECT_EQ(pid_filter_check(works, cli::AttachMode::kPerf).status, kWarn);
  attach::SelfTest one_thread = works;
  one_thread.pid_filter = false;
  EXPECT_EQ(pid_filter_check(one_thread, kAuto).status, kWarn);
}

TEST(DoctorHost, WhatAHitCostsByClass) {
  attach::SelfTest tested;
  tested.ns_per_hit = {400, 410.5, 420, 430, 14'000};
  Check check = hit_cost_check(tested, true);
  EXPECT_EQ(check.status, kOk);
  EXPECT_NE(check.detail.find("call 430, entry 14000 ns"), std::string::npos) << check.detail;
  EXPECT_NE(check.detail.find("uprobe_multi"), std::string::npos);
  auto json = nlohmann::json::parse(checks_json({check}));
  EXPECT_EQ(json["ns_per_hit"]["push"], 410.5);
  EXPECT_EQ(json["ns_per_hit"].size(), 5u);

  tested.ns_per_hit[MW_SITE_CALL] = 0;
  check = hit_cost_check(tested, false);
  EXPECT_EQ(check.status, kWarn);
  EXPECT_NE(check.detail.find("call unknown"), std::string::npos);
  json = nlohmann::json::parse(checks_json({check}));
  EXPECT_TRUE(json["ns_per_hit"]["call"].is_null());
  EXPECT_FALSE(nlohmann::json::parse(checks_json({{"arch", kOk, "x86_64", ""}})).contains("ns_per_hit"));
}

TEST(DoctorHost, PlacesToRun) {
  EXPECT_EQ(pid_namespace_check("pid:[4026531836]").status, kOk);
  EXPECT_EQ(pid_namespace_check("pid:[4026532178]").status, kFail);
  EXPECT_EQ(pid_namespace_check("").status, kFail);
  EXPECT_EQ(procfs_check("/proc", true, true).status, kOk);
  EXPECT_EQ(procfs_check("/proc", true, false).status, kWarn);
  EXPECT_EQ(procfs_check("/host", false, false).status, kFail);
  EXPECT_EQ(cpus_check(1).status, kWarn);
  EXPECT_EQ(cpus_check(2).status, kOk);
}

TEST(DoctorHost, RunDirectoryThatCanBeMade) {
  const std::string base = testing::TempDir() + "doctor_test";
  std::filesystem::create_directories(base);
  EXPECT_EQ(run_dir_check(base).status, kOk);
  const Check later = run_dir_check(base + "/a/b");
  EXPECT_EQ(later.status, kOk);
  EXPECT_NE(later.detail.find("can be created"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(base + "/a"));
  EXPECT_EQ(run_dir_check("/proc/self/status/x").status, kFail);
  EXPECT_EQ(run_dir_check("/proc/none").status, ::access("/proc", W_OK) == 0 ? kOk : kFail);
  std::filesystem::remove_all(base);
}

TEST(DoctorHost, RealHostAnswersEveryCheckOnce) {
  const HostReport report = check_host({});
  std::vector<std::string> names;
  for (const Check& check : report.checks) {
    EXPECT_FALSE(check.detail.empty()) << check.name;
    EXPECT_TRUE(check.status == kOk || !check.remedy.empty() || check.name == "cpus") << check.name;
    names.push_back(check.name);
  }
  for (const char* name :
       {"kernel", "arch", "btf", "capabilities", "lockdown", "perf_event_paranoid", "memlock", "pid_namespace",
        "procfs", "run_dir", "ring_buffer", "programs", "uprobe_multi", "perf_uprobe"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
}

TEST(DoctorTarget, VersionAndLayoutSayUnverified) {
  EXPECT_EQ(version_check({26, 8, "go1.26.8"}, false).status, kOk);
  const Check future = version_check({99, 0, "go1.99"}, true);
  EXPECT_EQ(future.status, kWarn);
  EXPECT_TRUE(future.detail.starts_with("unverified go1.99"));
  elf::Offsets offsets;
  offsets.source = elf::OffsetSource::kDwarf;
  offsets.g_goid = 152;
  EXPECT_EQ(layout_check(offsets, elf::MapKind::kSwiss).status, kOk);
  EXPECT_NE(layout_check(offsets, elf::MapKind::kSwiss).detail.find("DWARF"), std::string::npos);
  EXPECT_NE(layout_check(offsets, elf::MapKind::kBuckets).detail.find("bucket maps, goid at 152"), std::string::npos);
  offsets.source = elf::OffsetSource::kUnverified;
  EXPECT_EQ(layout_check(offsets, elf::MapKind::kSwiss).status, kWarn);
}

TEST(DoctorTarget, BuildPlanAndLimits) {
  EXPECT_EQ(build_check({}).detail, "plain");
  elf::BuildTraits race;
  race.race = true;
  EXPECT_EQ(build_check(race).status, kWarn);

  attach::Plan plan;
  for (const mw_op op : {MW_OP_WRITE, MW_OP_WRITE, MW_OP_ITERATE, MW_OP_FATAL}) {
    plan.probes.emplace_back().op = op;
  }
  plan.omissions.push_back({"runtime.mapdelete", "why"});
  EXPECT_TRUE(plan_check(plan).detail.starts_with("4 probes (2 write, 1 iterate, 1 fatal); 1 functions"));

  attach::CpuLimits limits;
  limits.online = limits.affinity = 4;
  EXPECT_EQ(cpu_limits_check(limits).status, kOk);
  limits.gomaxprocs = 1;
  EXPECT_EQ(cpu_limits_check(limits).status, kWarn);
  limits.gomaxprocs = 4;
  limits.realtime = true;
  EXPECT_EQ(cpu_limits_check(limits).status, kWarn);

  EXPECT_EQ(tracer_check(0, "").status, kOk);
  EXPECT_NE(tracer_check(77, "dlv").detail.find("77 (dlv)"), std::string::npos);
}

TEST(DoctorTarget, SiblingsMatterWhenTheyArePatched) {
  EXPECT_EQ(siblings_check({}, true).status, kOk);
  EXPECT_EQ(siblings_check({5, 6}, false).status, kOk);
  const Check patched = siblings_check({5, 6}, true);
  EXPECT_EQ(patched.status, kWarn);
  EXPECT_TRUE(patched.detail.ends_with("5, 6"));
  EXPECT_TRUE(siblings_check(std::vector<int>(12, 5), true).detail.ends_with("and 2 more"));
}

TEST(DoctorTarget, ProgramsThatAreNotGoFail) {
  const auto checks = check_target(static_cast<int>(::getpid()), {}, false);
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].status, kOk);
  EXPECT_EQ(checks[1].name, "executable");
  EXPECT_EQ(checks[1].status, kFail);
  const auto gone = check_target(4'194'304, {}, false);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].status, kFail);
}

TEST(DoctorPrinters, TextAndJson) {
  const std::vector<Check> checks = {{"kernel", kOk, "6.18", ""}, {"run_dir", kFail, "no \x1b", "do"}};
  EXPECT_TRUE(any_failed(checks));
  EXPECT_FALSE(any_failed({{"kernel", kWarn, "", ""}}));
  EXPECT_EQ(checks_text(checks),
            "ok    kernel               6.18\n"
            "fail  run_dir              no \\x1b\n"
            "                           remedy: do\n");
  EXPECT_EQ(checks_json({checks[0]}),
            R"({"schema_version":1,"kind":"doctor","check":"kernel","status":"ok","detail":"6.18","remedy":null})"
            "\n");
  const std::string two = checks_json(checks);
  EXPECT_EQ(nlohmann::json::parse(two.substr(two.find('\n') + 1))["remedy"], "do");
}

}  // namespace
}  // namespace mapwatch::app
