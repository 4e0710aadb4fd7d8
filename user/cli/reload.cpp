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
  in_force.web_config_file = fresh.web_config_file;
  in_force.interval_ns = fresh.interval_ns;
  in_force.webhook = fresh.webhook;
  in_force.webhook_secret_file = fresh.webhook_secret_file;
  in_force.webhook_ca = fresh.webhook_ca;
  in_force.alertmanager = fresh.alertmanager;
  in_force.alert_wait_ns = fresh.alert_wait_ns;
  in_force.alert_interval_ns = fresh.alert_interval_ns;
  in_force.alert_repeat_ns = fresh.alert_repeat_ns;
  in_force.alert_resolve_ns = fresh.alert_resolve_ns;
  in_force.exec = fresh.exec;
  in_force.exec_user = fresh.exec_user;
  in_force.exec_timeout_ns = fresh.exec_timeout_ns;
  in_force.exec_max = fresh.exec_max;
  in_force.journal = fresh.journal;
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
  compare("alert-spool", &Options::alert_spool);
  return waits;
}

}  // namespace mapwatch::cli
