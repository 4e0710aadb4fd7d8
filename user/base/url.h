// Addresses that somebody gave, by libcurl's own parser.
#pragma once

#include <string>

#include "base/result.h"

namespace mapwatch {

/// http or https, with a host, and without a user or password in it. kUsage.
Result<void> check_url(const std::string& url);

/// What may be told of a URL: scheme, host and port. The rest of it may be a secret.
std::string shown_url(const std::string& url);

}  // namespace mapwatch
