#include "alert/signature.h"

#include <fmt/format.h>

#include "base/escape.h"
#include "base/guarded_file.h"
#include "base/sha256.h"

namespace mapwatch::alert {
namespace {

constexpr std::size_t kMostSecret = 4096;
constexpr std::string_view kPrefix = "whsec_";

}  // namespace

Result<std::string> read_secret(const std::string& path) {
  const std::string shown = "secret file " + escape(path);
  std::string text = TRY(read_secret_file(path, kMostSecret));
  text.resize(text.find_last_not_of(" \t\r\n") + 1);
  if (text.starts_with(kPrefix)) {
    auto decoded = decode_base64(std::string_view(text).substr(kPrefix.size()));
    if (!decoded) {
      return fail(ErrorKind::kFailed, fmt::format("{}: behind {} is no base64", shown, kPrefix));
    }
    text = std::move(*decoded);
  }
  if (text.empty()) {
    return fail(ErrorKind::kFailed, shown + " is empty", "head -c 32 /dev/urandom | base64 makes one");
  }
  return text;
}

std::vector<std::string> signed_headers(std::string_view key, std::int64_t time_s, std::string_view body,
                                        std::string_view secret) {
  std::vector<std::string> headers = {
      fmt::format("Idempotency-Key: \"{}\"", key),
      fmt::format("webhook-id: {}", key),
      fmt::format("webhook-timestamp: {}", time_s),
  };
  if (!secret.empty()) {
    headers.push_back(fmt::format("webhook-signature: v1,{}",
                                  hmac_sha256_base64(secret, fmt::format("{}.{}.{}", key, time_s, body))));
  }
  return headers;
}

}  // namespace mapwatch::alert
