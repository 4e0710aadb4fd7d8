#include "alert/transport.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/curl_ready.h"
#include "base/unique_fd.h"

namespace mapwatch::alert {
namespace {

constexpr long kTimeoutMs = 10'000;
constexpr long kConnectMs = 5'000;
constexpr std::size_t kMostText = 256;

/// Keeps the first of the answer and lets the rest pass.
std::size_t take(char* data, std::size_t size, std::size_t count, void* to) {
  std::string& text = *static_cast<std::string*>(to);
  text.append(data, std::min(size * count, kMostText - text.size()));
  return size * count;
}

struct Bound {
  const Clock& clock;
  const std::atomic<std::uint64_t>& end_ns;
};

/// Called about once a second, and as data moves.
int check_end(void* of, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const Bound& bound = *static_cast<const Bound*>(of);
  return bound.clock.monotonic_ns() >= bound.end_ns ? 1 : 0;
}

struct Freer {
  void operator()(CURL* curl) const { ::curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
  void operator()(BIO* reader) const { ::BIO_free(reader); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
};

}  // namespace

Result<void> check_ca_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return fail_errno(fmt::format("{} cannot be opened", path));
  }
  const std::unique_ptr<BIO, Freer> reader(::BIO_new_fd(file.get(), BIO_NOCLOSE));
  const std::unique_ptr<X509, Freer> first(reader ? ::PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)
                                                  : nullptr);
  ::ERR_clear_error();
  if (!first) {
    return fail(ErrorKind::kFailed, fmt::format("{} has no certificate in PEM form", path),
                "it begins with -----BEGIN CERTIFICATE-----");
  }
  return {};
}

Result<std::unique_ptr<CurlTransport>> CurlTransport::create(const Clock& clock) {
  TRY(make_curl_ready());
  return std::unique_ptr<CurlTransport>(new CurlTransport(clock));
}

Result<Answer> CurlTransport::post(const Request& request) {
  const std::unique_ptr<CURL, Freer> curl(::curl_easy_init());
  if (!curl) {
    return fail(ErrorKind::kFailed, "curl has no memory");
  }
  std::unique_ptr<curl_slist, Freer> headers;
  for (const std::string& header : request.headers) {
    curl_slist* longer = ::curl_slist_append(headers.get(), header.c_str());
    if (longer == nullptr) {
      return fail(ErrorKind::kFailed, "curl has no memory");
    }
    (void)headers.release();  // it is in `longer`
    headers.reset(longer);
  }
  Answer answer;
  Bound bound{clock_, end_ns_};
  ::curl_easy_setopt(curl.get(), CURLOPT_URL, request.url.c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  ::curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  ::curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  ::curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "mapwatch/" MAPWATCH_VERSION);
  ::curl_easy_setopt(curl.get(), CURLOPT_POST, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  ::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, request.body.data());
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.text);
  ::curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  ::curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, check_end);
  ::curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &bound);
  if (!request.ca_file.empty()) {
    ::curl_easy_setopt(curl.get(), CURLOPT_CAINFO, request.ca_file.c_str());
    ::curl_easy_setopt(curl.get(), CURLOPT_CAPATH, nullptr);
  }
  if (const CURLcode done = ::curl_easy_perform(curl.get()); done != CURLE_OK) {
    return fail(ErrorKind::kFailed, ::curl_easy_strerror(done));
  }
  ::curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  curl_header* found = nullptr;
  if (::curl_easy_header(curl.get(), "Retry-After", 0, CURLH_HEADER, -1, &found) == CURLHE_OK) {
    answer.retry_after = found->value;
  }
  return answer;
}

}  // namespace mapwatch::alert
