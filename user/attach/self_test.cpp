#include "attach/self_test.h"

#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <thread>

#include "attach/own_text.h"
#include "self_test.skel.h"

namespace mapwatch::attach {

namespace {

struct SkeletonDeleter {
  void operator()(self_test_bpf* skeleton) const { self_test_bpf__destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};

/// CPU time of this thread, ns: on a busy machine most of the time that passes is other programs' (a charge of 400 %
/// was seen).
double thread_cpu_ns() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The median of some batches, for interrupts are in that time.
double measure() {
  constexpr int kBatches = 9;
  constexpr int kCalls = 200;
  std::array<double, kBatches> each = {};
  for (double& ns : each) {
    const double begin = thread_cpu_ns();
    for (int i = 0; i < kCalls; ++i) {
      run_self_test_site();
    }
    ns = (thread_cpu_ns() - begin) / kCalls;
  }
  std::nth_element(each.begin(), each.begin() + kBatches / 2, each.end());
  return each[kBatches / 2];
}

using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// Empty, with errno set, when the kernel refuses.
Result<Link> attach_multi(const self_test_bpf& skeleton) {
  unsigned long offset = TRY(self_test_file_offset());
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options, .offsets = &offset, .cnt = 1);
  return Link(bpf_program__attach_uprobe_multi(skeleton.progs.mw_self_multi, static_cast<int>(::getpid()),
                                               "/proc/self/exe", nullptr, &options));
}

/// 0 when it cannot be attached, which the attach to a target will tell with its reason.
double measure_perf(const self_test_bpf& skeleton) {
  const auto offset = self_test_file_offset();
  const Link link(
      offset ? bpf_program__attach_uprobe(skeleton.progs.mw_self_perf, false, ::getpid(), "/proc/self/exe", *offset)
             : nullptr);
  return link ? measure() : 0;
}

}  // namespace

Result<SelfTest> self_test(bool perf) {
  libbpf_set_print(nullptr);  // a refusal is an answer here, told in the Result
  std::unique_ptr<self_test_bpf, SkeletonDeleter> skeleton(self_test_bpf__open());
  if (!skeleton) {
    return fail_errno("self-test: cannot open the BPF object");
  }
  if (const int error = self_test_bpf__load(skeleton.get()); error != 0) {
    return fail_errno("self-test: cannot load a BPF program", -error, "run as root, or with CAP_BPF and CAP_PERFMON");
  }
  SelfTest result;
  {
    const Link link = TRY(attach_multi(*skeleton));
    if (!link) {
      result.reason = std::string("uprobe_multi link refused: ") + std::strerror(errno);
    } else {
      result.uprobe_multi = true;
      run_self_test_site();
      std::thread(run_self_test_site).join();
      result.pid_filter = skeleton->bss->mw_self_hits == 2;
      if (skeleton->bss->mw_self_hits == 0) {
        result.uprobe_multi = false;
        result.reason = "a uprobe_multi link was made, but its probe never fired";
      } else if (!perf) {
        result.ns_per_hit = measure();
      }
    }
  }
  if (perf || !result.uprobe_multi) {
    result.ns_per_hit = measure_perf(*skeleton);
  }
  return result;
}

}  // namespace mapwatch::attach
