// A snapshot as Prometheus reads it.
#pragma once

#include <string>

#include "base/result.h"
#include "metrics/snapshot.h"

namespace mapwatch::metrics {

/// The text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). No PID, goroutine,
/// address or stack is in a label. kFailed when the library fails, which is for want of memory.
Result<std::string> to_text(const Snapshot& snapshot);

}  // namespace mapwatch::metrics
