// SHA-256 (FIPS 180-4), for the sums of a dossier: no library of the build has it.
#pragma once

#include <string>
#include <string_view>

namespace mapwatch {

/// The digest of `data` as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view data);
/// The same as base64 (RFC 4648), the form of a Content-Security-Policy.
std::string sha256_base64(std::string_view data);

}  // namespace mapwatch
