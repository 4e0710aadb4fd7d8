// libcurl's one-time start.
#pragma once

#include "base/result.h"

namespace mapwatch {

/// Before the first use of libcurl; from any thread, any number of times.
Result<void> make_curl_ready();

}  // namespace mapwatch
