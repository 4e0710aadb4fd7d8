// Kernel's tables of who used which map, for the user side: read once, at a crash.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "attach/kernel_impl.h"

namespace mapwatch::attach {

Result<mw_slot> Kernel::last_accesses(std::uint32_t tgid, std::uint64_t map) const {
  const std::uint32_t index = mw_slot_index(tgid, map);
  mw_slot slot = {};
  if (bpf_map__lookup_elem(impl_->skeleton->maps.mw_slots, &index, sizeof(index), &slot, sizeof(slot), 0) != 0) {
    return fail_errno(fmt::format("cannot read slot {} of the watch table", index));
  }
  return slot;
}

Result<std::vector<mw_doing>> Kernel::last_operations(std::uint32_t tgid) const {
  std::vector<std::uint32_t> keys(MW_DOINGS);
  std::vector<mw_doing> all(MW_DOINGS);
  std::uint32_t next = 0;
  std::uint32_t count = MW_DOINGS;
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  // ENOENT: that was all of it.
  if (bpf_map_lookup_batch(bpf_map__fd(impl_->skeleton->maps.mw_doings), nullptr, &next, keys.data(), all.data(),
                           &count, &options) != 0 &&
      errno != ENOENT) {
    return fail_errno("cannot read the table of last operations");
  }
  all.resize(std::min<std::size_t>(count, all.size()));
  std::erase_if(all, [&](const mw_doing& doing) {
    return doing.g == 0 || doing.tgid != tgid || (doing.note & MW_NOTE_WRITING) != 0;
  });
  return all;
}

}  // namespace mapwatch::attach
