#include "app/doctor.h"

#include <unistd.h>

#include "app/doctor_check.h"
#include "app/doctor_host.h"
#include "app/doctor_target.h"
#include "base/log.h"
#include "base/write_all.h"

namespace mapwatch::app {

namespace {

Result<int> doctor(const cli::Options& options) {
  HostReport host = check_host(options);
  std::vector<Check> checks = std::move(host.checks);
  const bool host_ok = !any_failed(checks);
  std::string verdict =
      host_ok ? "this host can be watched\n" : "this host cannot be watched: see the lines that fail\n";
  if (!options.pids.empty()) {
    const int pid = options.pids.front();
    const std::vector<Check> target = check_target(pid, options, host.inode_wide);
    const bool ok = host_ok && !any_failed(target);
    verdict =
        "process " + std::to_string(pid) + (ok ? " can be watched\n" : " cannot be watched: see the lines that fail\n");
    checks.insert(checks.end(), target.begin(), target.end());
  }
  const std::string text = options.output == cli::Output::kJson ? checks_json(checks) : checks_text(checks) + verdict;
  TRY(write_all(STDOUT_FILENO, text, "stdout"));
  return any_failed(checks) ? log::exit_status(ErrorKind::kUnsupported) : 0;
}

}  // namespace

int run_doctor(const cli::Options& options) {
  const auto status = doctor(options);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
