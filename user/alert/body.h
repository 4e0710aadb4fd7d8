// Alerts as what receivers read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alert/alert.h"
#include "base/result.h"

namespace mapwatch::alert {

enum class Form {
  kWebhook,       ///< what Alertmanager sends to a webhook, version 4: what is over is told, too
  kAlertmanager,  ///< what Alertmanager itself takes at /api/v2/alerts: it knows by their end when they are over
};

/// Alerts of one group that are told together.
struct News {
  Labels group;
  std::vector<Alert> alerts;
  std::uint64_t truncated = 0;  ///< more of the group, which do not fit in here
};

/// Name of the sender in a webhook's body.
inline constexpr const char* kReceiver = "mapwatch";

/// In one line of ASCII. In Alertmanager's form without an end: with_end() sets it.
std::string to_body(const News& news, Form form);

/// The same body as it is sent at `now_ns` (CLOCK_REALTIME): in Alertmanager's form each alert fires for `lasts_ns`
/// more, however long it has waited, and began by now, whatever became of the clock: one that ends before it begins
/// would be refused (Validate, types/types.go of Alertmanager). kMalformed: it is no body of to_body().
Result<std::string> with_end(const std::string& body, Form form, std::int64_t now_ns, std::uint64_t lasts_ns);

}  // namespace mapwatch::alert
