// What the parts of Kernel share: the loaded BPF object and who has which slot of the targets' counters.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include <mapwatch/kernel_offsets.h>  // a type that the skeleton names

#include "attach/kernel.h"
#include "attach/slots.h"
#include "mapwatch.skel.h"

namespace mapwatch::attach {

struct SkeletonDeleter {
  void operator()(mapwatch_bpf* skeleton) const { mapwatch_bpf__destroy(skeleton); }
};

struct Kernel::Impl {
  /// A process with a policy, and what its slot's counters showed when it took the slot over.
  struct Charged {
    std::uint32_t slot = 0;
    mw_target_counts before = {};
  };

  Result<void> change_policy(std::uint32_t tgid, const std::function<void(mw_policy&)>& change);
  std::uint32_t slots_in_row() const;
  /// All counts of a row of slots, summed over CPUs.
  Result<std::vector<mw_target_counts>> slot_row(std::uint32_t row) const;
  Result<mw_target_counts> slot_counts(std::uint32_t slot) const;
  /// Of the process, unless another policy has taken its place.
  void remove_policy(std::uint32_t tgid, std::uint32_t slot) const;

  std::unique_ptr<mapwatch_bpf, SkeletonDeleter> skeleton;
  LinkKind link = LinkKind::kMulti;
  Slots slots{MW_ADOPTED_SLOT + 1, MW_MAX_TARGETS};
  std::unordered_map<std::uint32_t, Charged> charged;  ///< by tgid
};

}  // namespace mapwatch::attach
