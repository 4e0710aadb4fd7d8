// Kernel's per-CPU counters, summed for the user side.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>

#include <fmt/format.h>

#include "attach/kernel_impl.h"

namespace mapwatch::attach {

namespace {

/// One element of a per-CPU map of words, summed over CPUs.
Result<std::vector<std::uint64_t>> sum_of_cpus(const bpf_map* map, std::uint32_t index) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) {
    return fail_errno("cannot count CPUs", -cpus);
  }
  const std::size_t words = bpf_map__value_size(map) / sizeof(std::uint64_t);
  std::vector<std::uint64_t> each(static_cast<std::size_t>(cpus) * words);
  if (bpf_map__lookup_elem(map, &index, sizeof(index), each.data(), each.size() * sizeof(std::uint64_t), 0) != 0) {
    return fail_errno(fmt::format("cannot read the counters {}[{}]", bpf_map__name(map), index));
  }
  for (std::size_t cpu = 1; cpu < static_cast<std::size_t>(cpus); ++cpu) {
    for (std::size_t word = 0; word < words; ++word) {
      each[word] += each[cpu * words + word];
    }
  }
  each.resize(words);
  return each;
}

}  // namespace

Result<mw_counters> Kernel::counters() const {
  const auto words = TRY(sum_of_cpus(impl_->skeleton->maps.mw_counts, 0));
  mw_counters total;
  static_assert(sizeof(total) % sizeof(std::uint64_t) == 0);
  std::memcpy(&total, words.data(), sizeof(total));
  return total;
}

Result<Kernel::Runs> Kernel::runs() const {
  Runs all;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, impl_->skeleton->obj) {
    const int fd = bpf_program__fd(program);
    if (fd < 0) {
      continue;  // of another kind of link
    }
    bpf_prog_info info = {};
    std::uint32_t size = sizeof(info);
    if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0) {
      return fail_errno(fmt::format("cannot read how often {} ran", bpf_program__name(program)));
    }
    all.count += info.run_cnt;
    all.time_ns += info.run_time_ns;
  }
  return all;
}

Result<std::vector<mw_site_counts>> Kernel::site_counts(std::uint32_t first, std::size_t count) const {
  const bpf_map* map = impl_->skeleton->maps.mw_sites;
  constexpr std::size_t kWords = sizeof(mw_site_counts) / sizeof(std::uint64_t);
  const std::size_t length = bpf_map__value_size(map) / sizeof(mw_site_counts);
  std::vector<mw_site_counts> counts;
  counts.reserve(count);
  while (counts.size() < count) {
    const std::size_t site = first + counts.size();
    const auto row = TRY(sum_of_cpus(map, static_cast<std::uint32_t>(site / length)));
    for (std::size_t at = site % length; at < length && counts.size() < count; ++at) {
      counts.push_back({row[at * kWords], row[at * kWords + 1]});
    }
  }
  return counts;
}

std::uint32_t Kernel::Impl::slots_in_row() const {
  return static_cast<std::uint32_t>(bpf_map__value_size(skeleton->maps.mw_target_counts) / sizeof(mw_target_counts));
}

Result<std::vector<mw_target_counts>> Kernel::Impl::slot_row(std::uint32_t row) const {
  const auto words = TRY(sum_of_cpus(skeleton->maps.mw_target_counts, row));
  std::vector<mw_target_counts> counts(slots_in_row());
  std::memcpy(counts.data(), words.data(), words.size() * sizeof(std::uint64_t));
  return counts;
}

Result<mw_target_counts> Kernel::Impl::slot_counts(std::uint32_t slot) const {
  return TRY(slot_row(slot / slots_in_row()))[slot % slots_in_row()];
}

}  // namespace mapwatch::attach
