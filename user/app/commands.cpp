#include "app/commands.h"

#include "app/daemon.h"
#include "app/doctor.h"
#include "app/dossier.h"
#include "app/dump.h"
#include "app/export.h"
#include "app/gate.h"
#include "app/ls.h"
#include "app/replay.h"
#include "app/run.h"
#include "app/thaw.h"
#include "app/top.h"
#include "app/watch.h"

namespace mapwatch::app {

namespace {
constexpr struct {
  cli::Command command;
  int (*run)(const cli::Options&);
} kCommands[] = {
    {cli::Command::kRun, run_run},       {cli::Command::kWatch, run_watch},     {cli::Command::kLs, run_ls},
    {cli::Command::kThaw, run_thaw},     {cli::Command::kDoctor, run_doctor},   {cli::Command::kReplay, run_replay},
    {cli::Command::kDump, run_dump},     {cli::Command::kDossier, run_dossier}, {cli::Command::kTop, run_top},
    {cli::Command::kExport, run_export}, {cli::Command::kDaemon, run_daemon},   {cli::Command::kGate, run_gate}};
}  // namespace

Result<int> run_command(const cli::Options& options) {
  for (const auto& [command, run] : kCommands) {
    if (command == options.command) {
      return run(options);
    }
  }
  return fail(ErrorKind::kUsage, "no such command");
}

}  // namespace mapwatch::app
