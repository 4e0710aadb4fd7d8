// What was seen of each executable, minute by minute, in a file of this host: an error budget without a Prometheus.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/result.h"
#include "ops/canary.h"
#include "ops/slo.h"

namespace mapwatch::ops {

/// What came to pass in the time before it was written.
struct HistoryRow {
  std::string exe;
  double watched_s = 0;  ///< summed over its processes
  double hazard_s = 0;   ///< of these, in which a hazard was seen
  std::uint64_t crashes = 0;
  double overhead = 0;  ///< share of its CPU time, of the process that pays most
};

/// An SQLite file in WAL mode: one writes, others may read meanwhile. Minutes are kept for four days (the longest span
/// of the burn rules is three), hours for a year.
class History {
 public:
  static constexpr const char* kFileName = "history.db";

  /// For writing: makes the file when it is not there, readable by its owner only. Waits for nobody's lock: who writes
  /// has something else to do. kFailed says what is wrong with it.
  static Result<History> create(const std::string& path);
  /// For reading; a lock is waited for, two seconds at most. kFailed when there is no such file.
  static Result<History> open(const std::string& path);

  /// Adds what came to pass until `time_s` (since 1970), all or nothing. kFailed: nothing was written, and the rows are
  /// to be added to the next ones.
  Result<void> add(std::int64_t time_s, const std::vector<HistoryRow>& rows);

  /// An objective's value over the last `span_s` seconds. nullopt: nothing was watched then, or the objective is about
  /// what is not in here (ratio, latency).
  Result<std::optional<double>> value(const Objective& objective, std::uint64_t span_s, std::int64_t now_s) const;

  /// What was seen of the executables that `glob` matches (empty: all) over the last `span_s` seconds.
  Result<Group> group(const std::string& glob, std::uint64_t span_s, std::int64_t now_s) const;

 private:
  explicit History(Database database) : database_(std::move(database)) {}
  Database database_;
  std::int64_t compacted_s_ = 0;
};

}  // namespace mapwatch::ops
