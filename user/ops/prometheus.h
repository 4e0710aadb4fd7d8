// Readings from a Prometheus.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "ops/slo.h"

namespace mapwatch::ops {

/// The PromQL of an objective's value over the last `span_s` seconds.
std::string promql(const Objective& objective, std::uint64_t span_s);

/// What /api/v1/query answered: the one value; nullopt for none, or no number. kFailed for an error of Prometheus, an
/// answer that is none, and for several series.
Result<std::optional<double>> parse_answer(std::string_view json);

class Prometheus {
 public:
  /// `url`: http or https, with a path in front of /api if there is one. kUsage for another.
  static Result<Prometheus> at(const std::string& url);

  /// Asks for the value of a query, now. kFailed says what went wrong with whom; ten seconds at most, no redirects.
  Result<std::optional<double>> value(const std::string& query) const;

 private:
  explicit Prometheus(std::string url) : url_(std::move(url)) {}
  std::string url_;
};

}  // namespace mapwatch::ops
