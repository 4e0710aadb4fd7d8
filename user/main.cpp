// mapwatch's entry: the command line decides which command runs; its result is the exit status.
#include <unistd.h>

#include <csignal>

#include "app/ls.h"
#include "app/replay.h"
#include "app/run.h"
#include "app/watch.h"
#include "base/log.h"
#include "base/write_all.h"
#include "cli/options.h"

namespace mapwatch {
namespace {

int dispatch(const cli::Options& options) {
  switch (options.command) {
    case cli::Command::kRun:
      return app::run_run(options);
    case cli::Command::kWatch:
      return app::run_watch(options);
    case cli::Command::kReplay:
      return app::run_replay(options);
    case cli::Command::kLs:
      return app::run_ls(options);
    default:
      return 2;  // parse() lets no other command through
  }
}

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
  return dispatch(parsed.options);
}

}  // namespace
}  // namespace mapwatch

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an EPIPE to handle, not a death with probes set
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
