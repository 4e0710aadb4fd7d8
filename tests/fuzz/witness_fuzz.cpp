// Any text as a record of the kernel's log, a line of the journal, /proc/PID/fdinfo and mountinfo: processes write to
// all of the first, and mounts have names that users chose.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "witness/journal.h"
#include "witness/kernel_log.h"
#include "witness/stderr_place.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mapwatch::witness;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_kernel_record(text);
  (void)names_process(text, 7);
  (void)parse_journal_line(text);
  (void)parse_mount_id(text);
  (void)mount_type(text, 29);
  return 0;
}
