#include "ops/history.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace mapwatch::ops {
namespace {

constexpr int kBusyMs = 2'000;
constexpr std::int64_t kMinutesS = 4 * 86'400;
constexpr std::int64_t kHoursS = 366 * 86'400;
constexpr std::int64_t kHourS = 3'600;

constexpr const char* kSchema =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE IF NOT EXISTS sample(time_s INTEGER NOT NULL, exe TEXT NOT NULL, watched_s REAL NOT NULL,"
    " hazard_s REAL NOT NULL, crashes INTEGER NOT NULL, overhead REAL NOT NULL, PRIMARY KEY(time_s, exe)) WITHOUT "
    "ROWID;";

Result<void> insert(const Database& database, std::int64_t time_s, const std::vector<HistoryRow>& rows) {
  // A clock that was set back may come to a minute again.
  const Database::Statement statement = TRY(database.prepare(
      "INSERT INTO sample VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(time_s, exe) DO UPDATE SET watched_s=watched_s+?3,"
      " hazard_s=hazard_s+?4, crashes=crashes+?5, overhead=max(overhead,?6)"));
  for (const HistoryRow& row : rows) {
    ::sqlite3_bind_int64(statement.get(), 1, time_s);
    ::sqlite3_bind_text(statement.get(), 2, row.exe.data(), static_cast<int>(row.exe.size()), SQLITE_STATIC);
    ::sqlite3_bind_double(statement.get(), 3, row.watched_s);
    ::sqlite3_bind_double(statement.get(), 4, row.hazard_s);
    ::sqlite3_bind_int64(statement.get(), 5, static_cast<sqlite3_int64>(row.crashes));
    ::sqlite3_bind_double(statement.get(), 6, row.overhead);
    if (::sqlite3_step(statement.get()) != SQLITE_DONE) {
      return database.failed("cannot be written");
    }
    ::sqlite3_reset(statement.get());
  }
  return {};
}

/// Minutes that are old become hours, and hours that are very old go.
Result<void> compact(const Database& database, std::int64_t now_s) {
  const std::int64_t before = (now_s - kMinutesS) / kHourS * kHourS;
  const std::string sql = fmt::format(
      "CREATE TEMP TABLE hour AS SELECT (time_s+{0}-1)/{0}*{0} AS t, exe, sum(watched_s) AS w, sum(hazard_s) AS h,"
      " sum(crashes) AS c, sum(overhead*watched_s)/max(sum(watched_s),1e-9) AS o FROM sample WHERE time_s <= {1} AND"
      " time_s % {0} != 0 GROUP BY t, exe;"
      "DELETE FROM sample WHERE time_s <= {1} AND time_s % {0} != 0;"
      "INSERT INTO sample SELECT t,exe,w,h,c,o FROM hour WHERE true ON CONFLICT(time_s, exe) DO UPDATE SET"
      " watched_s=watched_s+excluded.watched_s, hazard_s=hazard_s+excluded.hazard_s, crashes=crashes+excluded.crashes,"
      " overhead=max(overhead,excluded.overhead);"
      "DROP TABLE hour;"
      "DELETE FROM sample WHERE time_s <= {2};",
      kHourS, before, now_s - kHoursS);
  return database.run(sql.c_str(), "old rows cannot be put together");
}

}  // namespace

Result<History> History::create(const std::string& path) {
  Database database = TRY(Database::create(path));
  TRY(database.run(kSchema, "cannot be used as history"));
  return History(std::move(database));
}

Result<History> History::open(const std::string& path) {
  Database database = TRY(Database::open(path));
  ::sqlite3_busy_timeout(database.get(), kBusyMs);
  return History(std::move(database));
}

Result<void> History::add(std::int64_t time_s, const std::vector<HistoryRow>& rows) {
  TRY(database_.run("BEGIN IMMEDIATE", "is locked"));
  auto done = insert(database_, time_s, rows);
  const bool due = done && (time_s - compacted_s_ >= kHourS || time_s < compacted_s_);
  if (due) {
    done = compact(database_, time_s);
  }
  if (done) {
    done = database_.run("COMMIT", "cannot be written");
  }
  if (!done) {
    (void)database_.run("ROLLBACK", "");  // what failed is told; a rollback has nothing to add
    return done;
  }
  compacted_s_ = due ? time_s : compacted_s_;
  return {};
}

Result<Group> History::group(const std::string& glob, std::uint64_t span_s, std::int64_t now_s) const {
  const Database::Statement statement = TRY(database_.prepare(
      "SELECT sum(watched_s), sum(hazard_s), sum(crashes), max(o) FROM (SELECT sum(watched_s) AS watched_s,"
      " sum(hazard_s) AS hazard_s, sum(crashes) AS crashes, sum(overhead*watched_s)/max(sum(watched_s),1e-9) AS o"
      " FROM sample WHERE time_s > ?1 AND time_s <= ?2 AND exe GLOB ?3 GROUP BY exe)"));
  std::string pattern = glob.empty() ? "*" : glob;
  // SQLite negates a set by ^, shells by !.
  for (std::size_t at = 0; (at = pattern.find("[!", at)) != std::string::npos; ++at) {
    pattern[at + 1] = '^';
  }
  ::sqlite3_bind_int64(statement.get(), 1, now_s - static_cast<std::int64_t>(span_s));
  ::sqlite3_bind_int64(statement.get(), 2, now_s);
  ::sqlite3_bind_text(statement.get(), 3, pattern.data(), static_cast<int>(pattern.size()), SQLITE_STATIC);
  if (::sqlite3_step(statement.get()) != SQLITE_ROW) {
    return database_.failed("cannot be read");
  }
  const auto column = [&](int i) { return ::sqlite3_column_double(statement.get(), i); };
  return Group{column(0), column(1), column(2), column(3)};
}

Result<std::optional<double>> History::value(const Objective& objective, std::uint64_t span_s,
                                             std::int64_t now_s) const {
  const Group seen = TRY(group(objective.exe, span_s, now_s));
  if (seen.watched_s <= 0) {
    return std::optional<double>();
  }
  switch (objective.source) {
    case Source::kHazards:
      return seen.hazard_s / seen.watched_s;
    case Source::kCrashes:
      return 86'400 * seen.crashes / seen.watched_s;
    case Source::kOverhead:
      return seen.overhead;
    case Source::kRatio:
    case Source::kLatency:
      break;
  }
  return std::optional<double>();
}

}  // namespace mapwatch::ops
