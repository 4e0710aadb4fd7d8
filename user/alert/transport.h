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

/// By libcurl: http and https alone, certificates checked, no redirects, ten seconds at most.
class CurlTransport final : public Transport {
 public:
  /// `ca_file`: certificates to trust instead of the system's; empty: the system's. `clock` must outlive it.
  static Result<std::unique_ptr<CurlTransport>> create(std::string ca_file, const Clock& clock);

  Result<Answer> post(const Request& request) override;
  /// From any thread: whatever is sent, now or later, ends by `monotonic_ns` or soon after.
  void end_by(std::uint64_t monotonic_ns) { end_ns_ = monotonic_ns; }

 private:
  CurlTransport(std::string ca_file, const Clock& clock) : ca_file_(std::move(ca_file)), clock_(clock) {}

  std::string ca_file_;
  const Clock& clock_;
  std::atomic<std::uint64_t> end_ns_ = UINT64_MAX;
};

}  // namespace mapwatch::alert
