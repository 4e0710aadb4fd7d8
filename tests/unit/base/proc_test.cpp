#include "base/proc.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::proc {
namespace {

using test::TempDir;

// Fields 4 to 52 of proc(5): ppid 7, flags 0x400000, utime 11, stime 12, starttime 98765, policy 0.
std::string stat_line(const std::string& comm, const std::string& state = "S", const std::string& flags = "4194304",
                      const std::string& policy = "0") {
  return "42 (" + comm + ") " + state + " 7 42 42 0 -1 " + flags +
         " 1 2 3 4 11 12 0 0 20 0 5 0 98765 1000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 " + policy +
         " 0 0 0 0 0 0 0 0 0 0 0\n";
}

TEST(ParseStat, TakesTheFields) {
  const auto stat = parse_stat(stat_line("server"));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 42);
  EXPECT_EQ(stat->comm, "server");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 7);
  EXPECT_EQ(stat->user_ticks, 11U);
  EXPECT_EQ(stat->system_ticks, 12U);
  EXPECT_EQ(stat->start_time, 98765U);
  EXPECT_FALSE(stat->kernel_thread());
  EXPECT_FALSE(stat->dead());
  EXPECT_FALSE(stat->realtime());
}

TEST(Age, IsTheTimeSinceItsStart) {
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  EXPECT_EQ(age_ns(5 * ticks, 12'000'000'000), 7'000'000'000u);
  EXPECT_EQ(age_ns(5 * ticks, 4'999'999'999), 0u) << "a clock in ticks is a little ahead";
}

TEST(ParseStat, SurvivesAnyName) {
  for (const std::string comm : {"a b", "a) R 1 (b", "(((", ")))", "\n) S 1\n", "", " ", ") Z 1 1 1"}) {
    const auto stat = parse_stat(stat_line(comm));
    ASSERT_TRUE(stat) << comm;
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->state, 'S') << comm;
    EXPECT_EQ(stat->start_time, 98765U) << comm;
  }
}

TEST(ParseStat, KnowsKernelThreadsZombiesAndRealTime) {
  EXPECT_TRUE(parse_stat(stat_line("kthreadd", "S", "2129984"))->kernel_thread());  // 0x208040
  EXPECT_TRUE(parse_stat(stat_line("x", "Z"))->dead());
  EXPECT_TRUE(parse_stat(stat_line("x", "S", "0", "1"))->realtime());
  EXPECT_TRUE(parse_stat(stat_line("x", "S", "0", "6"))->realtime());
  EXPECT_FALSE(parse_stat(stat_line("x", "S", "0", "3"))->realtime());
}

TEST(ParseStat, RefusesWhatIsCutOff) {
  const std::string line = stat_line("server");
  const std::size_t policy = line.rfind(" 0 0 0 0 0 0 0 0 0 0 0 0\n");
  ASSERT_NE(policy, std::string::npos);
  for (std::size_t length = 0; length <= policy; ++length) {
    EXPECT_FALSE(parse_stat(line.substr(0, length))) << length;
  }
  EXPECT_FALSE(parse_stat("x (a) S 1"));
  EXPECT_FALSE(parse_stat(") ("));
  EXPECT_FALSE(parse_stat(stat_line("a", "SS")));
}

TEST(ParseStatus, TakesTheFields) {
  const auto status = parse_status(
      "Name:\tab\\nTgid: 9\nState:\tt (tracing stop)\nTgid:\t42\nPid:\t42\nTracerPid:\t77\nUid:\t1000\t0\t1000\t1000\n"
      "NSpid:\t42\t7\t1\nVmRSS:\t  123 kB\nThreads:\t12\nCpus_allowed:\t80000000,00000003\nCpus_allowed_list:\t0-1\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, 42);
  EXPECT_EQ(status->state, 't');
  EXPECT_EQ(status->tracer_pid, 77);
  EXPECT_EQ(status->real_uid, 1000U);
  EXPECT_EQ(status->effective_uid, 0U);
  EXPECT_EQ(status->ns_pids, (std::vector<int>{42, 7, 1}));
  EXPECT_EQ(status->ns_pid(), 1);
  EXPECT_EQ(status->rss_bytes, 123U * 1024);
  EXPECT_EQ(status->threads, 12U);
  EXPECT_EQ(status->cpus_allowed.count(), 3U);
  EXPECT_TRUE(status->cpus_allowed.bits[63]);
}

TEST(ParseStatus, RefusesOtherText) {
  const auto signals = parse_status("Tgid:\t1\nShdPnd:\t0000000000040000\nSigCgt:\tfffffffd7fc1feff\n");
  ASSERT_TRUE(signals);
  EXPECT_EQ(signals->pending_signals, 1u << 18) << "SIGSTOP is 19";
  EXPECT_EQ(signals->caught_signals, 0xfffffffd7fc1feffu);
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Tgid:\tx\n"));
  EXPECT_FALSE(parse_status("::::\n\n"));
}

TEST(Proc, SyscallTellsWhereAThreadGoesOn) {
  EXPECT_EQ(parse_syscall("-1 0x7ffd5a8d0c48 0x43f20b\n")->pc, 0x43f20bu);
  EXPECT_EQ(parse_syscall("-1 0x7ffd5a8d0c48 0x43f20b\n")->sp, 0x7ffd5a8d0c48u);
  EXPECT_EQ(parse_syscall("202 0xc000100548 0x80 0x0 0x0 0x0 0x0 0xc0000c5e58 0x472ee3\n")->pc, 0x472ee3u);
  EXPECT_FALSE(parse_syscall("running\n"));
  EXPECT_FALSE(parse_syscall(""));
  EXPECT_FALSE(parse_syscall("-1 0x1 0xzz\n"));
}

TEST(ParseCpuList, TakesListsAndRefusesNonsense) {
  EXPECT_EQ(parse_cpu_list("0-3,8\n")->count(), 5U);
  EXPECT_EQ(parse_cpu_list("")->count(), 0U);
  EXPECT_EQ(parse_cpu_list("5")->count(), 1U);
  for (const char* text : {"3-1", "a", "0-", "-1", "0-99999999999", "0-4000000000", "1,,2"}) {
    EXPECT_FALSE(parse_cpu_list(text)) << text;
  }
}

TEST(ParseCpuMask, TakesGroupsHighestFirst) {
  const auto set = parse_cpu_mask("1,00000000\n");
  ASSERT_TRUE(set);
  EXPECT_EQ(set->count(), 1U);
  EXPECT_TRUE(set->bits[32]);
  EXPECT_FALSE(parse_cpu_mask(""));
  EXPECT_FALSE(parse_cpu_mask("zz"));
  EXPECT_FALSE(parse_cpu_mask("1ffffffff"));
}

TEST(CpuSetOperations, AddAndKeep) {
  CpuSet set = *parse_cpu_list("0,2");
  set.add(*parse_cpu_list("5"));
  EXPECT_EQ(set.count(), 3U);
  set.keep(*parse_cpu_list("2-4"));
  EXPECT_EQ(set.count(), 1U);
  EXPECT_TRUE(set.bits[2]);
}

TEST(ParseCgroup, ShowsV2AndNamedV1) {
  EXPECT_EQ(parse_cgroup("0::/system.slice/a:b.service\n").shown(), "/system.slice/a:b.service");
  const CgroupPaths v1 = parse_cgroup("5:cpu,cpuacct:/c\n4:cpuset:/s\n3:memory:/m\n1:name=systemd:/user.slice\n0::/\n");
  EXPECT_EQ(v1.cpu, "/c");
  EXPECT_EQ(v1.cpuset, "/s");
  EXPECT_EQ(v1.shown(), "/user.slice");
  EXPECT_EQ(parse_cgroup("junk\n\n:\n").shown(), "");
}

TEST(ParseMaps, TakesPathsAsTheyAre) {
  const auto entry =
      parse_maps_line("7f0000001000-7f0000003000 r-xp 0000a000 fd:01 123456                     /opt/a b (deleted)");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->start, 0x7f0000001000U);
  EXPECT_EQ(entry->end, 0x7f0000003000U);
  EXPECT_TRUE(entry->readable && entry->executable && !entry->writable && !entry->shared);
  EXPECT_EQ(entry->offset, 0xa000U);
  EXPECT_EQ(entry->dev_major, 0xfdU);
  EXPECT_EQ(entry->dev_minor, 1U);
  EXPECT_EQ(entry->inode, 123456U);
  EXPECT_EQ(entry->path, "/opt/a b (deleted)");
  EXPECT_EQ(parse_maps_line("0-1 rw-s 0 00:00 0 /a\\012b")->path, "/a\nb");
  EXPECT_EQ(parse_maps_line("0-1 ---p 0 00:00 0")->path, "");
}

TEST(ParseMaps, RefusesNonsense) {
  for (const char* line : {"", "0-1", "0-1 r-xp", "1-0 r-xp 0 0:0 0", "x-1 r-xp 0 0:0 0", "0-1 rx 0 0:0 0",
                           "0-1 r-xp 0 00 0", "0-ffffffffffffffffff r-xp 0 0:0 0", "0-1 r-xp 0 0:0 x"}) {
    EXPECT_FALSE(parse_maps_line(line)) << line;
  }
}

TEST(ProcFsTest, ReadsAFakeRoot) {
  const TempDir dir;
  dir.write("42/stat", stat_line("a b"));
  dir.write("42/comm", "a b\n");
  dir.write("42/cmdline", std::string_view("prog\0-x\0\0", 9));
  dir.write("42/environ", std::string_view("A=1\0B=2", 7));
  dir.write("42/maps", "1000-2000 r-xp 0 00:00 5 /prog\n3000-4000 rw-p 0 00:00 0\n");
  dir.write("42/task/42/x", "");
  dir.write("42/task/43/x", "");
  dir.write("7/comm", "seven\n");
  dir.write("self/comm", "me\n");
  dir.write("1x/comm", "");
  dir.link("42/exe", "/opt/prog (deleted)");
  const std::uint64_t auxv[] = {9, 0x401000, 3, 0x400040, 0, 0, 6, 1};
  dir.write("42/auxv", std::string_view(reinterpret_cast<const char*>(auxv), sizeof auxv));
  const ProcFs procfs(dir.path());

  EXPECT_EQ(procfs.pids().value(), (std::vector<int>{7, 42}));
  EXPECT_EQ(procfs.threads(42).value(), (std::vector<int>{42, 43}));
  EXPECT_EQ(procfs.threads(42, 1)->size(), 1U);
  EXPECT_EQ(procfs.comm(42).value(), "a b");
  EXPECT_EQ(procfs.stat(42)->start_time, 98765U);
  EXPECT_EQ(procfs.cmdline(42).value(), (std::vector<std::string>{"prog", "-x", ""}));
  EXPECT_EQ(procfs.environment(42).value(), (std::vector<std::string>{"A=1", "B=2"}));
  EXPECT_EQ(procfs.maps(42)->size(), 2U);
  EXPECT_EQ(procfs.exe(42)->path, "/opt/prog");
  EXPECT_TRUE(procfs.exe(42)->deleted);
  EXPECT_EQ(procfs.auxv(42, 9).value(), 0x401000U);
  EXPECT_EQ(procfs.auxv(42, 6).value(), std::nullopt);  // after AT_NULL
}

TEST(ProcFsTest, AFileThatEndsInDeletedIsNotDeleted) {
  const TempDir dir;
  dir.write("42/root/opt/prog (deleted)", "");
  dir.link("42/exe", "/opt/prog (deleted)");
  const auto exe = ProcFs(dir.path()).exe(42);
  ASSERT_TRUE(exe);
  EXPECT_EQ(exe->path, "/opt/prog (deleted)");
  EXPECT_FALSE(exe->deleted);
}

TEST(ProcFsTest, TellsGoneFromMalformedFromWrongRoot) {
  const TempDir dir;
  dir.write("42/stat", "garbage");
  dir.write("42/maps", "1000-2000 r-xp 0 00:00 5 /prog\nnonsense\n");
  const ProcFs procfs(dir.path());
  EXPECT_EQ(procfs.stat(42).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(procfs.maps(42).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(procfs.stat(43).error().kind, ErrorKind::kGone);
  EXPECT_EQ(procfs.stat(43).error().message, "no process 43");
  EXPECT_EQ(procfs.threads(43).error().kind, ErrorKind::kGone);
  EXPECT_EQ(procfs.exe(43).error().kind, ErrorKind::kGone);
  EXPECT_EQ(procfs.status(42).error().kind, ErrorKind::kFailed);  // there is a directory, but no such file
  EXPECT_EQ(ProcFs(dir.path() + "/none").pids().error().kind, ErrorKind::kFailed);
}

TEST(ProcFsTest, ReadsThisProcess) {
  const ProcFs procfs;
  const int self = ::getpid();
  const auto status = procfs.status(self);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, self);
  EXPECT_EQ(status->real_uid, ::getuid());
  EXPECT_GE(status->threads, 1U);
  EXPECT_GT(status->rss_bytes, 100'000U);
  EXPECT_GE(status->cpus_allowed.count(), 1U);
  EXPECT_EQ(procfs.stat(self)->ppid, ::getppid());
  EXPECT_GT(procfs.stat(self)->start_time, 0U);
  const auto maps = procfs.maps(self);
  ASSERT_TRUE(maps);
  const auto here = reinterpret_cast<std::uint64_t>(&stat_line);
  const auto at = std::find_if(maps->begin(), maps->end(),
                               [&](const MapEntry& entry) { return entry.start <= here && here < entry.end; });
  ASSERT_NE(at, maps->end());
  EXPECT_TRUE(at->executable);
  EXPECT_EQ(at->path, procfs.exe(self)->path);
}

TEST(ReadFile, StopsAtItsLimit) {
  EXPECT_EQ(read_file("/dev/zero", 100'000)->size(), 100'000U);
  EXPECT_EQ(read_file("/no/such/file").error().kind, ErrorKind::kFailed);
}

}  // namespace
}  // namespace mapwatch::proc
