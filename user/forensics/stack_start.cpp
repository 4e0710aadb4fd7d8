// Where a program lies in its process, and where a goroutine's stack begins.
#include <fmt/format.h>

#include "forensics/goroutine_copy.h"

namespace mapwatch::forensics {

Result<std::uint64_t> load_bias(std::span<const Mapping> mappings, const std::string& path,
                                const elf::GoBinary& binary) {
  const Mapping* first = nullptr;
  for (const Mapping& mapping : mappings) {
    if (mapping.path == path && mapping.begin >= mapping.file_offset &&
        (first == nullptr || mapping.begin < first->begin)) {
      first = &mapping;
    }
  }
  if (first == nullptr) {
    return fail(ErrorKind::kMalformed, fmt::format("{} is not mapped in the process", path));
  }
  return first->begin - binary.first_load_address();
}

std::optional<StackStart> stack_start(const GoroutineCopy& copy, const elf::RuntimeLayout& layout, std::size_t i,
                                      std::optional<std::size_t> m) {
  const elf::GLayout& g = layout.g;
  const std::uint64_t low = copy.gs.get(i, g.stack);
  const std::uint64_t high = copy.gs.get(i, g.stack + 8);
  const auto inside = [&](std::uint64_t sp) { return sp >= low && sp < high; };
  const ThreadRegisters saved{copy.gs.get(i, g.sched + 8), copy.gs.get(i, g.sched), copy.gs.get(i, g.sched_bp)};
  switch (static_cast<GStatus>(copy.gs.get<std::uint32_t>(i, g.status) & ~kScanBit)) {
    case GStatus::kRunnable:
    case GStatus::kWaiting:
    case GStatus::kPreempted:
    case GStatus::kSyscall:
    case GStatus::kLeaked:
      break;
    case GStatus::kRunning: {
      if (!m) {
        return std::nullopt;
      }
      const std::uint64_t vdso_sp = copy.ms.get(*m, layout.m.vdso_sp);
      if (vdso_sp != 0 && inside(vdso_sp)) {
        return StackStart{{copy.ms.get(*m, layout.m.vdso_pc), vdso_sp, 0}, false};
      }
      const auto registers = copy.registers.find(copy.ms.get(*m, layout.m.procid));
      if (registers == copy.registers.end()) {
        return std::nullopt;
      }
      return inside(registers->second.sp) ? std::optional(StackStart{registers->second, true}) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
  // As runtime's unwinder.initAt: a stack left for a system call, whatever the status says.
  if (const std::uint64_t sp = copy.gs.get(i, g.syscallsp)) {
    return StackStart{{copy.gs.get(i, g.syscallpc), sp, 0}, false};
  }
  return StackStart{saved, false};
}

}  // namespace mapwatch::forensics
