// Kernel's tables of watched processes: policy, bucket, slot of the counters.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>

#include <fmt/format.h>

#include "attach/kernel_impl.h"

namespace mapwatch::attach {

namespace {

mw_target_counts operator-(const mw_target_counts& now, const mw_target_counts& before) {
  return {now.hits - before.hits, now.held_ns - before.held_ns, now.overlaps - before.overlaps, 0, 0};
}

}  // namespace

Result<void> Kernel::set_policy(std::uint32_t tgid, const mw_policy& policy) {
  auto& charged = impl_->charged;
  auto found = charged.find(tgid);
  if (found == charged.end()) {
    const auto slot = impl_->slots.take();
    if (!slot) {
      return fail(ErrorKind::kFailed, fmt::format("cannot watch process {}: too many processes", tgid),
                  fmt::format("at most {} processes can be watched at once", MW_MAX_TARGETS));
    }
    found = charged.emplace(tgid, Impl::Charged{*slot, TRY(impl_->slot_counts(*slot))}).first;
  }
  const std::vector<std::byte> bucket(bpf_map__value_size(impl_->skeleton->maps.mw_buckets));
  mw_policy own = policy;
  own.tgid = tgid;
  own.slot = found->second.slot;
  const std::uint32_t near = tgid % MW_MAX_TARGETS;
  const auto& maps = impl_->skeleton->maps;
  if (bpf_map__update_elem(maps.mw_buckets, &tgid, sizeof(tgid), bucket.data(), bucket.size(), BPF_ANY) != 0 ||
      bpf_map__update_elem(maps.mw_policies, &tgid, sizeof(tgid), &own, sizeof(own), BPF_ANY) != 0 ||
      bpf_map__update_elem(maps.mw_near_policies, &near, sizeof(near), &own, sizeof(own), BPF_ANY) != 0) {
    const int error = errno;
    drop_policy(tgid);
    return fail_errno(fmt::format("cannot watch process {}: policy table", tgid), error,
                      fmt::format("at most {} processes can be watched at once", MW_MAX_TARGETS));
  }
  return {};
}

mw_target_counts Kernel::drop_policy(std::uint32_t tgid) {
  const auto found = impl_->charged.find(tgid);
  if (found == impl_->charged.end()) {
    forget_adopted(tgid);
    return {};
  }
  impl_->remove_policy(tgid, found->second.slot);
  bpf_map__delete_elem(impl_->skeleton->maps.mw_buckets, &tgid, sizeof(tgid), 0);
  bpf_map__delete_elem(impl_->skeleton->maps.mw_frozen, &tgid, sizeof(tgid), 0);
  const mw_target_counts last = target_counters(tgid).value_or(mw_target_counts{});
  impl_->slots.give_back(found->second.slot);
  impl_->charged.erase(found);
  return last;
}

Result<void> Kernel::ignore(std::uint32_t tgid, std::uint32_t layout) {
  mw_policy policy = {};
  policy.flags = MW_POLICY_IGNORE;
  policy.tgid = tgid;
  policy.slot = MW_ADOPTED_SLOT;
  policy.layout = layout;
  if (bpf_map__update_elem(impl_->skeleton->maps.mw_policies, &tgid, sizeof(tgid), &policy, sizeof(policy), BPF_ANY) !=
      0) {
    return fail_errno(fmt::format("cannot ignore process {}: policy table", tgid));
  }
  return {};
}

void Kernel::forget_adopted(std::uint32_t tgid) { impl_->remove_policy(tgid, MW_ADOPTED_SLOT); }

void Kernel::Impl::remove_policy(std::uint32_t tgid, std::uint32_t slot) const {
  const auto& maps = skeleton->maps;
  const std::uint32_t near = tgid % MW_MAX_TARGETS;
  mw_policy holder = {};
  if (bpf_map__lookup_elem(maps.mw_near_policies, &near, sizeof(near), &holder, sizeof(holder), 0) == 0 &&
      holder.tgid == tgid && holder.slot == slot) {
    mw_policy none = {};
    none.flags = MW_POLICY_MARK_ONLY | MW_POLICY_IGNORE;  // a hit that is under way holds nobody
    bpf_map__update_elem(maps.mw_near_policies, &near, sizeof(near), &none, sizeof(none), BPF_ANY);
  }
  // The kernel side drops it at an exec, and may have adopted the new program by now.
  if (bpf_map__lookup_elem(maps.mw_policies, &tgid, sizeof(tgid), &holder, sizeof(holder), 0) == 0 &&
      holder.slot == slot) {
    bpf_map__delete_elem(maps.mw_policies, &tgid, sizeof(tgid), 0);
  }
}

Result<mw_target_counts> Kernel::target_counters(std::uint32_t tgid) const {
  const auto found = impl_->charged.find(tgid);
  if (found == impl_->charged.end()) {
    return fail(ErrorKind::kGone, fmt::format("process {} is not watched", tgid));
  }
  return TRY(impl_->slot_counts(found->second.slot)) - found->second.before;
}

Result<std::unordered_map<std::uint32_t, mw_target_counts>> Kernel::target_counters() const {
  std::unordered_map<std::uint32_t, mw_target_counts> out;
  std::unordered_map<std::uint32_t, std::vector<mw_target_counts>> rows;
  for (const auto& [tgid, charged] : impl_->charged) {
    const std::uint32_t row = charged.slot / impl_->slots_in_row();
    auto found = rows.find(row);
    if (found == rows.end()) {
      found = rows.emplace(row, TRY(impl_->slot_row(row))).first;
    }
    out.emplace(tgid, found->second[charged.slot % impl_->slots_in_row()] - charged.before);
  }
  return out;
}

Result<void> Kernel::Impl::change_policy(std::uint32_t tgid, const std::function<void(mw_policy&)>& change) {
  const auto& maps = skeleton->maps;
  mw_policy policy = {};
  const auto found = charged.find(tgid);
  if (found == charged.end() ||
      bpf_map__lookup_elem(maps.mw_policies, &tgid, sizeof(tgid), &policy, sizeof(policy), 0) != 0 ||
      policy.slot != found->second.slot) {
    return fail(ErrorKind::kGone, fmt::format("process {} is not watched any more", tgid));
  }
  change(policy);
  // BPF_EXIST: an exec in between has dropped the policy, and it must stay dropped.
  if (bpf_map__update_elem(maps.mw_policies, &tgid, sizeof(tgid), &policy, sizeof(policy), BPF_EXIST) != 0) {
    return fail_errno(fmt::format("cannot change the policy of process {}", tgid));
  }
  const std::uint32_t near = tgid % MW_MAX_TARGETS;
  mw_policy holder = {};
  if (bpf_map__lookup_elem(maps.mw_near_policies, &near, sizeof(near), &holder, sizeof(holder), 0) == 0 &&
      holder.tgid == tgid &&
      bpf_map__update_elem(maps.mw_near_policies, &near, sizeof(near), &policy, sizeof(policy), BPF_ANY) != 0) {
    return fail_errno(fmt::format("cannot change the policy of process {}", tgid));
  }
  return {};
}

Result<void> Kernel::set_freeze(std::uint32_t tgid, std::uint32_t flags) {
  constexpr std::uint32_t kBoth = MW_POLICY_FREEZE | MW_POLICY_FREEZE_ALL;
  return impl_->change_policy(tgid,
                              [flags](mw_policy& policy) { policy.flags = (policy.flags & ~kBoth) | (flags & kBoth); });
}

Result<void> Kernel::set_limits(std::uint32_t tgid, const Limits& limits) {
  return impl_->change_policy(tgid, [&limits](mw_policy& policy) {
    policy.epoch = limits.epoch;
    policy.hit_limit = limits.hits;
    policy.share_ppm = limits.share_ppm;
    policy.burst_ns = limits.burst_ns;
  });
}

Result<void> Kernel::set_flag(std::uint32_t tgid, mw_policy_flags flag, bool on) {
  return impl_->change_policy(tgid, [flag, on](mw_policy& policy) {
    policy.flags = (policy.flags & ~static_cast<std::uint32_t>(flag)) | (on ? static_cast<std::uint32_t>(flag) : 0);
  });
}

}  // namespace mapwatch::attach
