// Whether the kernel takes what Target::attach_path() and silent_sites() rest on. Root only: it attaches real uprobes.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attach/target.h"
#include "attach/text_check.h"

namespace mapwatch::attach {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

__attribute__((noinline)) int probed_function(int x) {
  asm volatile("" : "+r"(x));
  return x + 1;
}

/// A fork of this test that waits to be killed, and a plan of one probe on probed_function in it.
class AttachPathTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "needs root to attach a uprobe";
    }
    child_ = ::fork();
    if (child_ == 0) {
      for (;;) {
        ::pause();
      }
    }
    auto target = Target::open(child_);
    ASSERT_TRUE(target) << target.error().message;
    target_.emplace(std::move(*target));
    const auto address = reinterpret_cast<std::uint64_t>(&probed_function);
    const auto maps = proc::ProcFs().maps(child_);
    ASSERT_TRUE(maps);
    const auto at = std::ranges::find_if(*maps, [&](const auto& m) { return m.start <= address && address < m.end; });
    ASSERT_NE(at, maps->end());
    ProbeSpec probe;
    probe.address = address;
    probe.file_offset = address - at->start + at->offset;
    plan_.probes.push_back(probe);
  }
  void TearDown() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }
  std::vector<std::size_t> silent(const Target& target) const {
    const auto memory = ProcessMemory::open(target);
    return silent_sites(plan_, memory->reader(), 0);
  }
  void expect_only_the_child_is_patched() const {
    EXPECT_THAT(silent(*target_), IsEmpty());
    EXPECT_THAT(silent(*Target::open(::getpid())), ElementsAre(0U));
  }

  pid_t child_ = -1;
  std::optional<Target> target_;
  Plan plan_;
};

TEST_F(AttachPathTest, PerfEventTakesIt) {
  std::ifstream type_file("/sys/bus/event_source/devices/uprobe/type");
  unsigned type = 0;
  ASSERT_TRUE(type_file >> type);
  EXPECT_THAT(silent(*target_), ElementsAre(0U));
  const std::string path = target_->attach_path();
  perf_event_attr attr = {};
  attr.type = type;
  attr.size = sizeof attr;
  attr.config1 = reinterpret_cast<std::uint64_t>(path.c_str());
  attr.config2 = plan_.probes[0].file_offset;
  {
    const UniqueFd event(static_cast<int>(::syscall(SYS_perf_event_open, &attr, child_, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    ASSERT_TRUE(event) << std::generic_category().message(errno);
    expect_only_the_child_is_patched();
  }
  EXPECT_THAT(silent(*target_), ElementsAre(0U));
}

TEST_F(AttachPathTest, UprobeMultiTakesIt) {
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, load);
  load.expected_attach_type = BPF_TRACE_UPROBE_MULTI;
  const UniqueFd loaded(bpf_prog_load(BPF_PROG_TYPE_KPROBE, "nothing", "GPL", program, std::size(program), &load));
  ASSERT_TRUE(loaded) << std::generic_category().message(errno);
  const std::string path = target_->attach_path();
  const unsigned long offset = plan_.probes[0].file_offset;
  LIBBPF_OPTS(bpf_link_create_opts, create);
  create.uprobe_multi.path = path.c_str();
  create.uprobe_multi.offsets = &offset;
  create.uprobe_multi.cnt = 1;
  create.uprobe_multi.pid = static_cast<__u32>(child_);
  {
    const UniqueFd link(bpf_link_create(loaded.get(), 0, BPF_TRACE_UPROBE_MULTI, &create));
    if (!link && errno == EINVAL) {
      GTEST_SKIP() << "this kernel has no uprobe_multi";
    }
    ASSERT_TRUE(link) << std::generic_category().message(errno);
    expect_only_the_child_is_patched();
  }
  EXPECT_THAT(silent(*target_), ElementsAre(0U));
}

}  // namespace
}  // namespace mapwatch::attach
