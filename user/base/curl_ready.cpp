#include "base/curl_ready.h"

#include <curl/curl.h>
#include <fmt/format.h>

namespace mapwatch {

Result<void> make_curl_ready() {
  static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) {
    return fail(ErrorKind::kFailed, fmt::format("curl cannot start: {}", ::curl_easy_strerror(ready)));
  }
  return {};
}

}  // namespace mapwatch
