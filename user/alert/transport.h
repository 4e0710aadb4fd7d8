// Sends one request and waits for its answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace mapwatch::alert {

struct Request {
  std::string url;
  std::vector<std::string> headers;
  std::string_view body;
  std::string ca_file = {};  ///< certificates to trust instead of the system's; empty: the system's
};

struct Answer {
  long status = 0;
  std::string retry_after;  ///< the header's value; empty: there is none
  std::string text;         ///< the first of the body, for people
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// POSTs it. Errors: there was no answer.
  virtual Result<Answer> post(const Request& request) = 0;
};

/// Whether `path` holds certificates in PEM form. kFailed, kPermission: it cannot be read, or there is none in it.
Result<void> check_ca_file(const std::string& path);

/// By libcurl: http and https alone, certificates checked, no redirects, ten seconds at most.
class CurlTransport final : public Transport {
 public:
  /// `clock` must outlive it. kFailed: libcurl does not start.
  static Result<std::unique_ptr<CurlTransport>> create(const Clock& clock);

  Result<Answer> post(const Request& request) override;
  /// From any thread: whatever is sent, now or later, ends by `monotonic_ns` or soon after.
  void end_by(std::uint64_t monotonic_ns) { end_ns_ = monotonic_ns; }

 private:
  explicit CurlTransport(const Clock& clock) : clock_(clock) {}

  const Clock& clock_;
  std::atomic<std::uint64_t> end_ns_ = UINT64_MAX;
};

}  // namespace mapwatch::alert
