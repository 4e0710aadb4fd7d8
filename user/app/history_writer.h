// Writes what the metrics say into the history of this host, about once a minute (ops/history.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "metrics/snapshot.h"
#include "ops/history.h"

namespace mapwatch::app {

class HistoryWriter {
 public:
  explicit HistoryWriter(std::string path) : path_(std::move(path)) {}

  /// Writes when a minute has passed since the last row, or when it is the `last` one. What cannot be written is told
  /// once and comes with the next row: nothing is lost but the time that it is told at.
  void take(const metrics::Snapshot& snapshot, bool last = false);

  std::uint64_t failed() const { return failed_; }

 private:
  /// Totals as they were when they were last written.
  struct Written {
    double watched_s = 0;
    double hazard_s = 0;
    std::uint64_t crashes = 0;
  };
  Result<void> write(const metrics::Snapshot& snapshot);

  std::string path_;
  std::optional<ops::History> history_;
  std::map<std::string, Written> written_;  ///< by label
  std::optional<double> since_s_;           ///< of the last row; none: there was none yet
  std::uint64_t failed_ = 0;
  bool told_ = false;
};

}  // namespace mapwatch::app
