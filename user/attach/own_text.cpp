#include "attach/own_text.h"

#include <unistd.h>

#include "base/proc.h"

// A page of its own is not needed, a body the compiler keeps is: the probe sits on its first nop.
extern "C" __attribute__((noinline, used)) void mw_self_test_site() {
  asm volatile(
      ".globl mw_self_test_probe\n"
      "mw_self_test_probe: nop\n"
      "nop\n");
}
extern "C" char mw_self_test_probe[];

namespace mapwatch::attach {

std::uint64_t self_test_address() { return reinterpret_cast<std::uintptr_t>(&mw_self_test_probe[0]); }

void run_self_test_site() { mw_self_test_site(); }

Result<std::uint64_t> self_test_file_offset() {
  const std::uint64_t address = self_test_address();
  const auto maps = TRY(proc::ProcFs().maps(static_cast<int>(::getpid())));
  for (const proc::MapEntry& entry : maps) {
    if (entry.executable && entry.start <= address && address < entry.end) {
      return address - entry.start + entry.offset;
    }
  }
  return fail(ErrorKind::kFailed, "self-test: mapwatch's own text is not in /proc/self/maps");
}

}  // namespace mapwatch::attach
