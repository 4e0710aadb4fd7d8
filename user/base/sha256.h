// SHA-256 (FIPS 180-4), HMAC with it (RFC 2104) and base64 (RFC 4648), by libcrypto.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mapwatch {

/// The digest of `data` as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view data);
/// The same as base64, the form of a Content-Security-Policy.
std::string sha256_base64(std::string_view data);
/// HMAC-SHA256 of `data` under `key`, as base64.
std::string hmac_sha256_base64(std::string_view key, std::string_view data);

/// The bytes that `text` stands for; nullopt when it is no base64 with its padding.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace mapwatch
