#include "cli/reload.h"

namespace mapwatch::cli {

std::vector<std::string> take_over(Options& in_force, const Options& fresh) {
  in_force.names = fresh.names;
  in_force.exe_globs = fresh.exe_globs;
  in_force.cgroup = fresh.cgroup;
  in_force.excludes = fresh.excludes;
  in_force.all = fresh.all;
  in_force.budget = fresh.budget;
  in_force.sample = fresh.sample;
  in_force.dwell_ns = fresh.dwell_ns;
  in_force.targets = fresh.targets;
  in_force.suppressions = fresh.suppressions;
  in_force.metrics_listen = fresh.metrics_listen;
  in_force.interval_ns = fresh.interval_ns;
  std::vector<std::string> waits;
  const auto compare = [&](const char* flag, auto Options::*field) {
    if (in_force.*field != fresh.*field) {
      waits.emplace_back(flag);
    }
  };
  compare("output", &Options::output);
  compare("timestamps", &Options::timestamps);
  compare("quiet", &Options::quiet);
  compare("verbose", &Options::verbose);
  compare("color", &Options::color);
  compare("log-path", &Options::log_path);
  compare("strip-path-prefix", &Options::strip_path_prefix);
  compare("on-fatal", &Options::on_fatal);
  compare("on-crash", &Options::on_crash);
  compare("max-freeze", &Options::max_freeze_ns);
  compare("record", &Options::record);
  compare("attach", &Options::attach);
  compare("ring-size", &Options::ring_size);
  compare("procfs", &Options::procfs);
  compare("run-dir", &Options::run_dir);
  compare("state-dir", &Options::state_dir);
  compare("webhook", &Options::webhook);
  compare("webhook-secret-file", &Options::webhook_secret_file);
  compare("webhook-ca", &Options::webhook_ca);
  compare("alertmanager", &Options::alertmanager);
  compare("alert-wait", &Options::alert_wait_ns);
  compare("alert-interval", &Options::alert_interval_ns);
  compare("alert-repeat", &Options::alert_repeat_ns);
  compare("alert-resolve", &Options::alert_resolve_ns);
  compare("alert-spool", &Options::alert_spool);
  compare("exec", &Options::exec);
  compare("exec-user", &Options::exec_user);
  compare("exec-timeout", &Options::exec_timeout_ns);
  compare("exec-max", &Options::exec_max);
  compare("journal", &Options::journal);
  return waits;
}

}  // namespace mapwatch::cli
