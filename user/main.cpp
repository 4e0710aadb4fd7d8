// mapwatch's entry: the command line decides which command runs; its result is the exit status.
#include <malloc.h>
#include <unistd.h>

#include <csignal>

#include "app/commands.h"
#include "base/log.h"
#include "base/write_all.h"
#include "cli/options.h"
#include "guardian/guardian.h"
#include "guardian/keeper.h"

namespace mapwatch {
namespace {

/// Of memory that goes back to the kernel when it is freed. Left to itself malloc raises it to the size of the first
/// DWARF that was read, and each thread that reads one keeps as much (mallopt(3), M_MMAP_THRESHOLD).
constexpr int kLargeBytes = 256 << 10;
/// Heaps of malloc: threads that read a binary and end would leave one each, with holes of its own (M_ARENA_MAX).
constexpr int kArenas = 2;

Result<int> run(const std::vector<std::string>& args, const std::vector<std::string>& env) {
  const cli::Parsed parsed = TRY(cli::parse(args, env));
  if (parsed.text) {
    TRY(write_all(STDOUT_FILENO, *parsed.text, "stdout"));
    return parsed.status;
  }
  log::init(parsed.options.quiet, parsed.options.verbose);
  for (const std::string& warning : parsed.warnings) {
    log::warn("{}", warning);
  }
  return app::run_command(parsed.options);
}

}  // namespace
}  // namespace mapwatch

int main(int argc, char** argv) {
  if (argc == 1 && std::string_view(argv[0]) == mapwatch::guardian::kProgram) {
    return mapwatch::guardian::run_keeper(mapwatch::guardian::kSocketFd);
  }
  ::mallopt(M_MMAP_THRESHOLD, mapwatch::kLargeBytes);
  ::mallopt(M_ARENA_MAX, mapwatch::kArenas);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an EPIPE to handle, not a death with probes set
  std::signal(SIGIO, SIG_IGN);    // of leases on files, which are looked at (base/file_lease.h)
  std::vector<std::string> env;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    env.emplace_back(*variable);
  }
  const auto status = mapwatch::run({argv + 1, argv + argc}, env);
  if (!status) {
    mapwatch::log::print_error(status.error());
  }
  return status ? *status : mapwatch::log::exit_status(status.error().kind);
}
