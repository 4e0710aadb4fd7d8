#include "attach/host_features.h"

#include <bpf/bpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "attach/own_text.h"
#include "base/proc.h"
#include "base/unique_fd.h"

namespace mapwatch::attach {

Result<void> try_ring(std::uint64_t bytes) {
  const UniqueFd map(
      bpf_map_create(BPF_MAP_TYPE_RINGBUF, "mw_doctor", 0, 0, static_cast<std::uint32_t>(bytes), nullptr));
  if (!map) {
    return fail_errno("cannot create a BPF ring buffer of " + std::to_string(bytes) + " bytes");
  }
  return {};
}

Result<void> try_perf_uprobe() {
  const auto type_text = proc::read_file("/sys/bus/event_source/devices/uprobe/type", 32);
  std::uint32_t type = 0;
  if (!type_text || std::from_chars(type_text->data(), type_text->data() + type_text->size(), type).ec != std::errc()) {
    return fail(ErrorKind::kUnsupported, "the kernel has no uprobe PMU (/sys/bus/event_source/devices/uprobe)",
                "a kernel with CONFIG_UPROBE_EVENTS and /sys mounted");
  }
  constexpr const char* kPath = "/proc/self/exe";
  perf_event_attr attr = {};
  attr.type = type;
  attr.size = sizeof attr;
  attr.config1 = reinterpret_cast<std::uintptr_t>(kPath);  // uprobe_path, perf_event_open(2)
  attr.config2 = TRY(own_file_offsets())[MW_SITE_NONE];    // probe_offset
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  const UniqueFd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, ::getpid(), -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) {
    return fail_errno("cannot open a perf_event uprobe");
  }
  return {};
}

}  // namespace mapwatch::attach
