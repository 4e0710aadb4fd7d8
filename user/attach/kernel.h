// The kernel side as one object: BPF programs and maps, loaded once; layouts, policies and counters as calls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "attach/plan.h"
#include "attach/self_test.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "mapwatch/abi.h"

struct bpf_link;

namespace mapwatch::attach {

enum class LinkKind {
  kMulti,  ///< one uprobe_multi link for many sites: kernel 6.6+, CAP_BPF + CAP_PERFMON
  kPerf,   ///< one perf_event uprobe a site: kernel 6.1+, CAP_SYS_ADMIN
};

/// The sites of one plan, attached. Detaches when it goes; the kernel does the same when mapwatch dies.
class ProbeSet {
 public:
  ProbeSet() = default;
  ~ProbeSet() { detach(); }
  ProbeSet(ProbeSet&&) noexcept = default;
  ProbeSet& operator=(ProbeSet&& other) noexcept;

  bool attached() const { return !links_.empty() || !multi_links_.empty(); }
  /// When it returns, the text of every process is as in its file. A kill -9 of mapwatch meanwhile leaves it so, too.
  void detach();

 private:
  friend class Kernel;
  struct LinkDeleter {
    void operator()(bpf_link* link) const;
  };
  std::vector<std::unique_ptr<bpf_link, LinkDeleter>> links_;
  std::vector<UniqueFd> multi_links_;
};

/// Where a plan is attached.
struct AttachRequest {
  std::string path;              ///< of the executable, as this process can open it (/proc/PID/exe, /proc/self/fd/N)
  int pid = -1;                  ///< only this process is patched; -1: every process that runs the file
  std::uint32_t layout = 0;      ///< index given to set_layout
  std::uint32_t first_site = 0;  ///< site number of plan.probes[0]; the others follow
  std::optional<std::vector<std::uint32_t>> which;  ///< only these of plan.probes
};

class Kernel {
 public:
  struct Options {
    std::uint64_t ring_size = 8u << 20;  ///< bytes; rounded up to a power of two pages
    LinkKind link = LinkKind::kMulti;
  };
  /// Loads the programs. Errors: kPermission, kUnsupported (kernel before 6.1), kFailed with the verifier's last lines.
  static Result<Kernel> load(const Options& options);

  Kernel(Kernel&&) noexcept;
  Kernel& operator=(Kernel&&) noexcept;
  ~Kernel();

  enum class Execs {
    kOfWatched,  ///< MW_EVENT_EXEC
    kEvery,      ///< and MW_EVENT_NEW for every other process that runs exec
  };
  Result<void> follow_exec(Execs which);
  Result<ProbeSet> attach(const Plan& plan, const AttachRequest& request);

  Result<void> set_layout(std::uint32_t index, const mw_layout& layout);
  /// Hits of this layout are ignored from now on.
  void drop_layout(std::uint32_t index);
  /// Hits of `tgid` count from now on; they are ignored before this and after drop_policy.
  Result<void> set_policy(std::uint32_t tgid, const mw_policy& policy);
  /// What the process was charged in all; zeros when it had no policy. What the kernel side has adopted under the same
  /// number since (after an exec) stays.
  mw_target_counts drop_policy(std::uint32_t tgid);
  /// Answers to MW_EVENT_NEW, beside set_policy. The process is not to be watched: its hits are ignored without asking
  /// again, until it runs exec or drop_policy; `layout`: of the probes that stand in it.
  Result<void> ignore(std::uint32_t tgid, std::uint32_t layout);
  /// It is gone, or no probe can stand in it.
  void forget_adopted(std::uint32_t tgid);
  /// What the process was charged since its policy was first set, summed over CPUs. kGone: it has none.
  Result<mw_target_counts> target_counters(std::uint32_t tgid) const;
  /// Of all processes that have a policy, by tgid: some system calls for all of them.
  Result<std::unordered_map<std::uint32_t, mw_target_counts>> target_counters() const;

  /// Allows (MW_POLICY_FREEZE, MW_POLICY_FREEZE_ALL) or forbids (0) the kernel side to stop a watched process at its
  /// crash. kGone when the process is not watched any more.
  Result<void> set_freeze(std::uint32_t tgid, std::uint32_t flags);
  /// What a process may be charged from now on.
  struct Limits {
    std::uint32_t epoch = 0;      ///< a new one starts the count of hits again
    std::uint64_t hits = 0;       ///< 0: no limit
    std::uint32_t share_ppm = 0;  ///< held, of wall time
    std::uint64_t burst_ns = 0;   ///< held at once, where it was not held before
  };
  /// kGone when the process is not watched any more.
  Result<void> set_limits(std::uint32_t tgid, const Limits& limits);
  /// MW_POLICY_PARTIAL or MW_POLICY_LEARN. kGone likewise.
  Result<void> set_flag(std::uint32_t tgid, mw_policy_flags flag, bool on);
  /// Who called map functions, of all processes that have or had MW_POLICY_LEARN.
  Result<std::vector<mw_caller_count>> callers() const;
  /// Ring of mw_freeze_note: the guardian's.
  int freeze_notes_fd() const;
  /// Array of one word, which the guardian sets to 1 and back: without it nothing is frozen.
  int freeze_gate_fd() const;

  int ring_fd() const;
  LinkKind link_kind() const;
  /// Summed over CPUs.
  Result<mw_counters> counters() const;
  /// Of all programs, as the kernel counts them while kernel.bpf_stats_enabled is 1
  /// (Documentation/admin-guide/sysctl/kernel.rst).
  struct Runs {
    std::uint64_t count = 0;
    std::uint64_t time_ns = 0;
  };
  Result<Runs> runs() const;
  /// Of sites [first, first + count), summed over CPUs.
  Result<std::vector<mw_site_counts>> site_counts(std::uint32_t first, std::size_t count) const;
  /// Who used this map last, as far as it is remembered (last_map and last_tgid say of which map it is). While the
  /// process runs the words may be of different moments.
  Result<mw_slot> last_accesses(std::uint32_t tgid, std::uint64_t map) const;
  /// What each goroutine of the process began last, as far as no other goroutine took its entry over.
  Result<std::vector<mw_doing>> last_operations(std::uint32_t tgid) const;

 private:
  struct Impl;
  explicit Kernel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The layout that BPF needs of a binary.
mw_layout layout_of(const elf::GoBinary& binary);

}  // namespace mapwatch::attach
