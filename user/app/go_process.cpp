#include "app/go_process.h"

#include <map>
#include <utility>

#include "attach/cpu_limits.h"
#include "attach/plan.h"
#include "attach/target.h"
#include "attach/target_lock.h"
#include "elf/mapped_file.h"

namespace mapwatch::app {

namespace {

/// What a binary says about itself, shared by the processes that run it.
struct BinaryFacts {
  bool is_go = false;
  std::string go;
  bool unverified = false;
  std::string main_path;
  std::string build_id;
  std::optional<elf::BuildTraits> build;
  std::string refusal;  ///< empty: it can be watched
};

BinaryFacts read_facts(const attach::Target& target) {
  BinaryFacts facts;
  const auto file = elf::MappedFile::from_fd(target.exe_fd(), target.exe_path());
  if (!file) {
    return facts;
  }
  const auto info = elf::read_build_info(file->bytes());
  if (!info) {
    return facts;
  }
  facts.is_go = true;
  facts.go = info->version.text;
  facts.main_path = info->path;
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    facts.refusal = binary.error().message;
    return facts;
  }
  facts.unverified = binary->unverified();
  facts.go = (facts.unverified ? "unverified " : "") + binary->version().text;
  facts.build_id = binary->build_id();
  facts.build = binary->traits();
  if (const auto plan = attach::plan_probes(*binary); !plan) {
    facts.refusal = plan.error().message;
  }
  return facts;
}

std::string mark_only_reason(const attach::CpuLimits& limits) {
  return limits.realtime ? "mark only: it has a real-time thread" : "mark only: it can use one CPU";
}

class Lister {
 public:
  Lister(const proc::ProcFs& procfs, const ListOptions& options) : procfs_(procfs), options_(options) {}

  void look_at(int pid) {
    const auto stat = procfs_.stat(pid);
    if (!stat || stat->kernel_thread() || stat->dead()) {
      return;
    }
    const auto status = procfs_.status(pid);
    if (!status || (options_.only_user && status->real_uid != *options_.only_user)) {
      return;
    }
    const auto target = attach::Target::open(pid, procfs_);
    if (!target) {
      listing_.unreadable += target.error().kind == ErrorKind::kPermission ? 1 : 0;
      return;  // otherwise it is gone, or a 32-bit program
    }
    const BinaryFacts& facts = facts_of(*target);
    if (facts.is_go) {
      listing_.processes.push_back(describe(*target, facts));
    }
  }

  Listing take() { return std::move(listing_); }

 private:
  const BinaryFacts& facts_of(const attach::Target& target) {
    const std::pair key(target.exe_dev(), target.exe_inode());
    const auto found = binaries_.find(key);
    return found != binaries_.end() ? found->second : binaries_.emplace(key, read_facts(target)).first->second;
  }

  GoProcess describe(const attach::Target& target, const BinaryFacts& facts) const {
    GoProcess out;
    out.pid = target.pid();
    out.ns_pid = target.ns_pid();
    out.uid = target.uid();
    out.comm = target.comm();
    out.exe = target.exe_path();
    out.go = facts.go;
    out.unverified = facts.unverified;
    out.main_path = facts.main_path;
    out.build_id = facts.build_id;
    out.build = facts.build;
    out.reason = facts.refusal;
    if (out.reason.empty()) {
      if (const auto holder = attach::TargetLock::holder(options_.run_dir, out.pid, target.start_time())) {
        out.reason = "watched already, by " + *holder;
      }
    }
    out.watchable = out.reason.empty();
    if (out.watchable) {
      const auto limits = attach::read_cpu_limits(out.pid, attach::CpuSources{procfs_, "/sys"});
      out.mark_only = limits && !limits->may_dwell();
      out.reason = out.mark_only ? mark_only_reason(*limits) : "";
    }
    return out;
  }

  const proc::ProcFs& procfs_;
  const ListOptions& options_;
  std::map<std::pair<dev_t, ino_t>, BinaryFacts> binaries_;
  Listing listing_;
};

}  // namespace

Result<Listing> list_go_processes(const proc::ProcFs& procfs, const ListOptions& options) {
  Lister lister(procfs, options);
  const std::vector<int> pids = TRY(procfs.pids());
  for (std::size_t i = 0; i < pids.size(); ++i) {
    if (options.progress) {
      options.progress(i, pids.size());
    }
    if (pids[i] != options.self) {
      lister.look_at(pids[i]);
    }
  }
  return lister.take();
}

}  // namespace mapwatch::app
