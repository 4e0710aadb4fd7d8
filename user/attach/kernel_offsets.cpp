#include "attach/kernel_offsets.h"

#include <bpf/btf.h>

#include <cstring>
#include <memory>
#include <optional>

namespace mapwatch::attach {
namespace {

constexpr int kMostNested = 8;
constexpr std::uint32_t kByteBits = 8;

/// Of a member of the structure `id`, or of a structure or union without a name in it.
std::optional<std::uint32_t> member(const btf* types, std::uint32_t id, const char* name, int nested = 0) {
  const btf_type* type = btf__type_by_id(types, id);
  if (type == nullptr || !btf_is_composite(type) || nested > kMostNested) {
    return std::nullopt;
  }
  const btf_member* members = btf_members(type);
  for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
    const char* called = btf__name_by_offset(types, members[i].name_off);
    const std::uint32_t at = btf_member_bit_offset(type, i) / kByteBits;
    if (called != nullptr && std::strcmp(called, name) == 0) {
      return at;
    }
    if (called == nullptr || *called == '\0') {
      if (const auto inner = member(types, members[i].type, name, nested + 1)) {
        return at + *inner;
      }
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> member(const btf* types, const char* structure, const char* name) {
  const std::int32_t id = btf__find_by_name_kind(types, structure, BTF_KIND_STRUCT);
  return id < 0 ? std::nullopt : member(types, static_cast<std::uint32_t>(id), name);
}

}  // namespace

mw_kernel_offsets kernel_offsets() {
  mw_kernel_offsets found = {};
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__load_vmlinux_btf(), &btf__free);
  if (types == nullptr) {
    return found;
  }
  const auto on_cpu = member(types.get(), "task_struct", "on_cpu");
  const auto voluntary = member(types.get(), "task_struct", "nvcsw");
  const auto other = member(types.get(), "task_struct", "nivcsw");
  const auto pid = member(types.get(), "task_struct", "pid");
  const auto tgid = member(types.get(), "task_struct", "tgid");
  if (on_cpu && voluntary && other && pid && tgid) {
    found = {1, *on_cpu, *voluntary, *other, *pid, *tgid, 0, 0};
  }
  const auto entity = member(types.get(), "task_struct", "se");
  const auto queue = member(types.get(), "sched_entity", "cfs_rq");
  auto runnable = member(types.get(), "cfs_rq", "h_nr_runnable");
  if (!runnable) {
    runnable = member(types.get(), "cfs_rq", "h_nr_running");  // before 6.14
  }
  if (entity && queue && runnable) {
    found.cfs_rq = *entity + *queue;
    found.runnable = *runnable;
  }
  return found;
}

}  // namespace mapwatch::attach
