// mapwatch's entry: the command line decides which command runs; its result is the exit status.
#include <unistd.h>

#include <csignal>

#include "app/doctor.h"
#include "app/dossier.h"
#include "app/dump.h"
#include "app/ls.h"
#include "app/replay.h"
#include "app/run.h"
#include "app/thaw.h"
#include "app/watch.h"
#include "base/log.h"
#include "base/write_all.h"
#include "cli/options.h"
#include "guardian/guardian.h"
#include "guardian/keeper.h"

namespace mapwatch {
namespace {

constexpr struct {
  cli::Command command;
  int (*run)(const cli::Options&);
} kCommands[] = {{cli::Command::kRun, app::run_run},   {cli::Command::kWatch, app::run_watch},
                 {cli::Command::kLs, app::run_ls},     {cli::Command::kDoctor, app::run_doctor},
                 {cli::Command::kThaw, app::run_thaw}, {cli::Command::kReplay, app::run_replay},
                 {cli::Command::kDump, app::run_dump}, {cli::Command::kDossier, app::run_dossier}};

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
  for (const auto& [command, run_command] : kCommands) {
    if (command == parsed.options.command) {
      return run_command(parsed.options);
    }
  }
  return fail(ErrorKind::kUsage, "no such command");
}

}  // namespace
}  // namespace mapwatch

int main(int argc, char** argv) {
  if (argc == 1 && std::string_view(argv[0]) == mapwatch::guardian::kProgram) {
    return mapwatch::guardian::run_keeper(mapwatch::guardian::kSocketFd);
  }
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
