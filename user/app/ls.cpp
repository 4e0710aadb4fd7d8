#include "app/ls.h"

#include <unistd.h>

#include <fmt/format.h>

#include "app/go_process.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/write_all.h"

namespace mapwatch::app {

namespace {

Result<void> ls(const cli::Options& options) {
  ListOptions list;
  list.self = static_cast<int>(::getpid());
  list.run_dir = options.run_dir;
  if (!options.all) {
    list.only_user = ::getuid();
  }
  const SystemClock clock;
  Progress progress(STDERR_FILENO, !options.quiet, clock);
  list.progress = [&progress](std::size_t done, std::size_t of) {
    progress.show(fmt::format("mapwatch: {} of {} processes looked at", done, of));
  };
  const Listing listing = TRY(list_go_processes(proc::ProcFs(options.procfs), list));
  progress.clear();
  const bool json = options.output == cli::Output::kJson;
  TRY(write_all(STDOUT_FILENO, json ? listing_json(listing.processes) : listing_text(listing.processes), "stdout"));
  if (listing.unreadable > 0) {
    log::warn("{} {} could not be read{}", listing.unreadable, listing.unreadable == 1 ? "process" : "processes",
              ::geteuid() == 0 ? ": protected even from root here" : "; run as root to see all");
  }
  return {};
}

}  // namespace

int run_ls(const cli::Options& options) {
  const auto done = ls(options);
  if (!done) {
    log::print_error(done.error());
    return log::exit_status(done.error().kind);
  }
  return 0;
}

}  // namespace mapwatch::app
