#include "forensics/crash_map.h"

#include <vector>

#include <fmt/format.h>

#include "forensics/map_header.h"
#include "forensics/map_type.h"

namespace mapwatch::forensics {
namespace {

// From runtime.fatal to the map function there are three frames, and some hundred bytes.
constexpr std::size_t kMostStack = std::size_t{64} << 10;
constexpr std::size_t kMostFrames = 16;

/// As much from `sp` on as can be read, in halves: a stack ends somewhere.
std::vector<std::uint8_t> copy_stack(const Memory& memory, std::uint64_t sp) {
  for (std::size_t size = kMostStack; size >= 512; size /= 2) {
    std::vector<std::uint8_t> bytes(size);
    if (memory.read(sp, bytes)) {
      return bytes;
    }
  }
  return {};
}

}  // namespace

Result<CrashMap> find_crash_map(TypeReader& types, const GoProcess& process, const ThreadRegisters& registers) {
  const Memory& memory = types.memory();
  const std::vector<std::uint8_t> bytes = copy_stack(memory, registers.sp);
  Unwinder unwinder(*process.binary, process.bias);
  const Walk walk = unwinder.walk({registers.sp, bytes}, registers, true);
  CallArguments arguments(process);
  const CallStack stack{walk.frames, [&](std::uint64_t address) { return memory.word(address); }, &registers};
  mw_op inner = MW_OP_NONE;
  for (std::size_t i = 0; i < std::min(walk.frames.size(), kMostFrames); ++i) {
    const auto function = process.binary->at(walk.frames[i].entry - process.bias);
    if (!function || !runs_map_code(function->name)) {
      break;
    }
    const auto candidate = arguments.map_function(walk.frames[i]);
    if (!candidate) {
      continue;
    }
    // A function that hands on its own map; but a clone writes to a new one, while it reads or iterates the old.
    if (inner != MW_OP_NONE && candidate->op != inner && !(candidate->op == MW_OP_CLONE && inner == MW_OP_ITERATE)) {
      break;
    }
    inner = candidate->op;
    const MapArguments found = arguments.map_arguments(stack, i, candidate->arg);
    if (found.map == 0 || found.type == 0) {
      continue;  // the one that calls it may tell more
    }
    TRY(read_map_type(types, found.type));
    const MapHeader header = TRY(read_map_header(memory, types.space(), found.map));
    return CrashMap{found.map, found.type, header.count, candidate->op, std::string(function->name)};
  }
  return fail(ErrorKind::kMalformed, "the crashing goroutine's frames do not prove which map it was using");
}

}  // namespace mapwatch::forensics
