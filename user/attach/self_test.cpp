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
#include <vector>

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

/// What a hit at `site` costs: the median of some batches, for interrupts are in that time. 0 when its probe did not
/// fire each time.
double measure(const OwnSite& site, int calls, const unsigned long long& hits) {
  constexpr std::size_t kBatches = 9;
  site.run();  // the first hit of a thread sets up more than a later one
  const unsigned long long before = hits;
  std::array<double, kBatches> each = {};
  for (double& ns : each) {
    const double begin = thread_cpu_ns();
    for (int i = 0; i < calls; ++i) {
      site.run();
    }
    ns = (thread_cpu_ns() - begin) / calls;
  }
  if (hits - before != kBatches * static_cast<unsigned long long>(calls)) {
    return 0;
  }
  std::nth_element(each.begin(), each.begin() + kBatches / 2, each.end());
  return each[kBatches / 2];
}

BySiteClass<double> measure_all(const self_test_bpf& skeleton) {
  constexpr int kCalls = 100;
  constexpr int kSteppedCalls = 15;  // 14 us each in a guest, where the trap after the instruction is the host's affair
  BySiteClass<double> ns = {};
  for (std::size_t i = 0; i < ns.size(); ++i) {
    ns[i] = measure(own_sites()[i], i == MW_SITE_ENTRY ? kSteppedCalls : kCalls, skeleton.bss->mw_self_hits);
  }
  return ns;
}

using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// Empty, with errno set, when the kernel refuses.
Result<Link> attach_multi(const self_test_bpf& skeleton) {
  const BySiteClass<std::uint64_t> all = TRY(own_file_offsets());
  const std::vector<unsigned long> offsets(all.begin(), all.end());
  LIBBPF_OPTS(bpf_uprobe_multi_opts, options, .offsets = offsets.data(), .cnt = offsets.size());
  return Link(bpf_program__attach_uprobe_multi(skeleton.progs.mw_self_multi, static_cast<int>(::getpid()),
                                               "/proc/self/exe", nullptr, &options));
}

/// One that cannot be attached is left out, which the attach to a target will tell with its reason.
std::vector<Link> attach_perf(const self_test_bpf& skeleton) {
  std::vector<Link> links;
  if (const auto offsets = own_file_offsets()) {
    for (const std::uint64_t offset : *offsets) {
      links.emplace_back(
          bpf_program__attach_uprobe(skeleton.progs.mw_self_perf, false, ::getpid(), "/proc/self/exe", offset));
    }
  }
  return links;
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
      const auto run = own_sites()[MW_SITE_NONE].run;
      run();
      std::thread(run).join();
      result.pid_filter = skeleton->bss->mw_self_hits == 2;
      if (skeleton->bss->mw_self_hits == 0) {
        result.uprobe_multi = false;
        result.reason = "a uprobe_multi link was made, but its probe never fired";
      } else if (!perf) {
        result.ns_per_hit = measure_all(*skeleton);
      }
    }
  }
  if (perf || !result.uprobe_multi) {
    result.perf_links = std::make_shared<const std::vector<Link>>(attach_perf(*skeleton));
    result.ns_per_hit = measure_all(*skeleton);
  }
  return result;
}

}  // namespace mapwatch::attach
