// How the text of flags about alerts becomes fields of Options, for the table of flags.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/options.h"

namespace mapwatch::cli {

Result<void> set_webhook(Options& options, const std::string& text);
Result<void> set_alertmanager(Options& options, const std::string& text);
Result<void> set_alert_wait(Options& options, const std::string& text);
Result<void> set_alert_interval(Options& options, const std::string& text);
Result<void> set_alert_repeat(Options& options, const std::string& text);
Result<void> set_alert_resolve(Options& options, const std::string& text);
Result<void> set_alert_spool(Options& options, const std::string& text);
Result<void> set_exec(Options& options, const std::string& text);
Result<void> set_exec_timeout(Options& options, const std::string& text);
Result<void> set_exec_max(Options& options, const std::string& text);

/// What these flags say together. kUsage.
Result<void> check_alerts(const Options& options);

}  // namespace mapwatch::cli
