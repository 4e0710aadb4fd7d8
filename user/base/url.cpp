#include "base/url.h"

#include <curl/curl.h>

#include <memory>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch {
namespace {

struct Freer {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, Freer>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (::curl_url_get(url, part, &text, 0) != CURLUE_OK) {
    return "";
  }
  std::string out = text;
  ::curl_free(text);
  return out;
}

Url parse(const std::string& url) {
  Url parsed(::curl_url());
  const bool good = parsed && ::curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  return good ? std::move(parsed) : nullptr;
}

}  // namespace

std::string shown_url(const std::string& url) {
  const auto parsed = parse(url);
  if (!parsed) {
    return "(no address)";
  }
  const std::string port = part_of(parsed.get(), CURLUPART_PORT);
  return escape(fmt::format("{}://{}{}{}", part_of(parsed.get(), CURLUPART_SCHEME),
                            part_of(parsed.get(), CURLUPART_HOST), port.empty() ? "" : ":", port));
}

Result<void> check_url(const std::string& url) {
  const auto parsed = parse(url);
  const std::string scheme = parsed ? part_of(parsed.get(), CURLUPART_SCHEME) : "";
  if (scheme != "http" && scheme != "https") {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no http or https address", escape(url)),
                "e.g. https://alerts.example.net/mapwatch");
  }
  if (!part_of(parsed.get(), CURLUPART_USER).empty() || !part_of(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return fail(ErrorKind::kUsage, fmt::format("a password in the address of {} is seen by everybody", shown_url(url)),
                "sign what is sent: --webhook-secret-file FILE");
  }
  return {};
}

}  // namespace mapwatch
