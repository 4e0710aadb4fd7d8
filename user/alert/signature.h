// The headers by which a receiver knows who sent a notification and whether it has it already: those of Standard
// Webhooks 1.0 (standardwebhooks.com), and Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch::alert {

/// The key in a file: one line, as it is, or behind "whsec_" in base64. Read anew for each use, so that it may be
/// changed. kFailed, kPermission: it cannot be read, is empty, or others than its owner may read it.
Result<std::string> read_secret(const std::string& path);

/// Lines for an HTTP request. `key` names the notification, the same each time it is sent; `secret` empty: unsigned.
/// The signature is the HMAC-SHA256 of "KEY.SECONDS.BODY".
std::vector<std::string> signed_headers(std::string_view key, std::int64_t time_s, std::string_view body,
                                        std::string_view secret);

}  // namespace mapwatch::alert
