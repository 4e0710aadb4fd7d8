#include "attach/dying_watch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <string>

#include "dying.skel.h"

namespace mapwatch::attach {

void DyingWatch::SkeletonDeleter::operator()(dying_bpf* skeleton) const { dying_bpf__destroy(skeleton); }

DyingWatch::DyingWatch(std::unique_ptr<dying_bpf, SkeletonDeleter> skeleton) : skeleton_(std::move(skeleton)) {}
DyingWatch::~DyingWatch() = default;

Result<std::unique_ptr<DyingWatch>> DyingWatch::load() {
  std::unique_ptr<dying_bpf, SkeletonDeleter> skeleton(dying_bpf__open());
  if (!skeleton) {
    return fail_errno("cannot open the BPF object for last system calls");
  }
  if (const int error = dying_bpf__load(skeleton.get()); error != 0) {
    return fail_errno("cannot load the BPF program for last system calls", -error);
  }
  return std::unique_ptr<DyingWatch>(new DyingWatch(std::move(skeleton)));
}

Result<void> DyingWatch::follow(std::uint32_t tgid, std::uint32_t tid) {
  const std::lock_guard lock(mutex_);
  const bool again = look(tgid).has_value();
  mw_dying fresh = {};
  fresh.tid = tid;
  if (bpf_map__update_elem(skeleton_->maps.mw_dying, &tgid, sizeof(tgid), &fresh, sizeof(fresh), BPF_ANY) != 0) {
    return fail_errno("last system calls: more than " + std::to_string(MW_MAX_DYING) + " processes crash at once");
  }
  if (!link_) {
    const int link = bpf_raw_tracepoint_open("sys_enter", bpf_program__fd(skeleton_->progs.mw_sys_enter));
    if (link < 0) {
      const int error = -link;
      bpf_map__delete_elem(skeleton_->maps.mw_dying, &tgid, sizeof(tgid), 0);
      return fail_errno("last system calls: raw tracepoint sys_enter", error);
    }
    link_.reset(link);
  }
  followed_ += again ? 0 : 1;
  return {};
}

std::optional<mw_dying> DyingWatch::look(std::uint32_t tgid) const {
  mw_dying seen = {};
  if (bpf_map__lookup_elem(skeleton_->maps.mw_dying, &tgid, sizeof(tgid), &seen, sizeof(seen), 0) != 0) {
    return std::nullopt;
  }
  return seen;
}

std::optional<mw_dying> DyingWatch::leave(std::uint32_t tgid) {
  const std::lock_guard lock(mutex_);
  const auto seen = look(tgid);
  if (!seen) {
    return std::nullopt;
  }
  if (--followed_ == 0) {
    link_.reset();
  }
  bpf_map__delete_elem(skeleton_->maps.mw_dying, &tgid, sizeof(tgid), 0);
  return seen;
}

}  // namespace mapwatch::attach
