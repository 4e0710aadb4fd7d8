// Where the fields of the Go scheduler's structs lie: what goroutines are read by. Sources: runtime/runtime2.go of Go
// 1.17 to 1.27, through DWARF (runtime_table.inc, wait_reasons.inc).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// Offset of a field that this version does not have.
constexpr std::uint32_t kAbsent = 0xffffffffU;

/// Byte offsets in runtime.g.
struct GLayout {
  std::uint32_t stack = 0;  ///< {lo, hi}
  std::uint32_t m = 0;
  std::uint32_t sched = 0;  ///< gobuf {sp, pc, ...}
  std::uint32_t sched_bp = 0;
  std::uint32_t syscallsp = 0;
  std::uint32_t syscallpc = 0;
  std::uint32_t status = 0;  ///< 4 bytes
  std::uint32_t goid = 0;
  std::uint32_t waitsince = 0;   ///< Go's nanotime
  std::uint32_t waitreason = 0;  ///< 1 byte
  std::uint32_t lockedm = 0;
  std::uint32_t parent = kAbsent;  ///< from Go 1.21
  std::uint32_t gopc = 0;
  std::uint32_t startpc = 0;
  std::uint32_t waiting = 0;  ///< *sudog
  std::uint32_t labels = 0;
};

/// Byte offsets in runtime.m.
struct MLayout {
  std::uint32_t g0 = 0;
  std::uint32_t procid = 0;
  std::uint32_t gsignal = 0;
  std::uint32_t curg = 0;
  std::uint32_t p = 0;
  std::uint32_t id = 0;
  std::uint32_t throwing = 0;  ///< 4 bytes
  std::uint32_t locks = 0;     ///< 4 bytes
  std::uint32_t spinning = 0;  ///< 1 byte, as blocked and incgo
  std::uint32_t blocked = 0;
  std::uint32_t incgo = 0;
  std::uint32_t alllink = 0;
  std::uint32_t lockedg = 0;
  std::uint32_t vdso_sp = 0;
  std::uint32_t vdso_pc = 0;
};

/// Byte offsets in runtime.p.
struct PLayout {
  std::uint32_t id = 0;  ///< 4 bytes, as the next three
  std::uint32_t status = 0;
  std::uint32_t schedtick = 0;
  std::uint32_t syscalltick = 0;
  std::uint32_t m = 0;
  std::uint32_t runqhead = 0;  ///< 4 bytes, as runqtail
  std::uint32_t runqtail = 0;
  std::uint32_t runq = 0;  ///< 256 g pointers
  std::uint32_t runnext = 0;
};

/// Byte offsets in runtime.schedt; 4 bytes each but the first two and gcwaiting (1 byte).
struct SchedLayout {
  std::uint32_t goidgen = 0;
  std::uint32_t lastpoll = 0;
  std::uint32_t nmidle = 0;
  std::uint32_t nmsys = 0;
  std::uint32_t npidle = 0;
  std::uint32_t nmspinning = 0;
  std::uint32_t runqsize = 0;
  std::uint32_t gcwaiting = 0;
  std::uint32_t stopwait = 0;
};

/// Byte offsets in runtime.sudog.
struct SudogLayout {
  std::uint32_t elem = 0;
  std::uint32_t waitlink = 0;
  std::uint32_t channel = 0;
  std::uint32_t is_select = 0;
};

struct RuntimeLayout {
  OffsetSource source = OffsetSource::kTable;
  GLayout g;
  MLayout m;
  PLayout p;
  SchedLayout sched;
  SudogLayout sudog;
};

/// The table's entry of that minor version; the nearest older one for versions that it does not have.
RuntimeLayout table_runtime_layout(int minor);

/// From the DWARF of `image` when it has all structs, else from the table; kUnverified when the table does not know
/// the version (`unverified`).
RuntimeLayout read_runtime_layout(const Image& image, int minor, bool unverified);

/// runtime.waitReason as text, by number ("chan receive"); nullopt for a number that the version does not have.
std::optional<std::string_view> wait_reason(int minor, std::uint8_t number);

}  // namespace mapwatch::elf
