#include "base/run_program.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/spawn.h"

namespace mapwatch {
namespace {

constexpr int kKilledWithinMs = 1000;

}  // namespace

Result<ProgramOutput> run_program(const std::vector<std::string>& command, std::size_t limit,
                                  std::chrono::milliseconds bound) {
  Pipe out = TRY(Pipe::create());
  Program program;
  program.command = command;
  program.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  program.out = out.writer.get();
  const Spawned child = TRY(spawn(program));
  out.writer.reset();
  ProgramOutput output;
  const SystemClock clock;
  const std::uint64_t end = clock.monotonic_ns() + static_cast<std::uint64_t>(bound.count()) * 1'000'000;
  for (;;) {
    const std::uint64_t now = clock.monotonic_ns();
    pollfd ready = {out.reader.get(), POLLIN, 0};
    if (output.text.size() >= limit || now >= end ||
        ::poll(&ready, 1, static_cast<int>((end - now) / 1'000'000 + 1)) <= 0) {
      output.cut = true;
      break;
    }
    char piece[65536];
    const ssize_t got = ::read(out.reader.get(), piece, std::min(sizeof(piece), limit - output.text.size()));
    if (got <= 0) {
      break;
    }
    output.text.append(piece, static_cast<std::size_t>(got));
  }
  if (output.cut) {
    ::syscall(SYS_pidfd_send_signal, child.handle.get(), SIGKILL, nullptr, 0);
  }
  reap(child, kKilledWithinMs);
  return output;
}

}  // namespace mapwatch
