#include "alert/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <initializer_list>
#include <nlohmann/json.hpp>

namespace mapwatch::alert {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kFewestPages = 16;

// locking_mode: the first to write keeps the file, so that two daemons do not tell of each other's alerts.
constexpr const char* kSchema =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA page_size=4096;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA journal_size_limit=1048576;"
    "BEGIN EXCLUSIVE;"
    "CREATE TABLE IF NOT EXISTS alert(fingerprint TEXT PRIMARY KEY, labels TEXT NOT NULL, annotations TEXT NOT NULL,"
    " starts_ns INTEGER NOT NULL, ends_ns INTEGER NOT NULL, told INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS waiting(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
    " body TEXT NOT NULL, created_ns INTEGER NOT NULL);"
    "COMMIT;";

std::string to_text(const Labels& labels) { return Json(labels).dump(-1, ' ', true, Json::error_handler_t::replace); }

std::optional<Labels> to_labels(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    return std::nullopt;
  }
  Labels labels;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) {
      return std::nullopt;
    }
    labels[name] = value.get<std::string>();
  }
  return labels;
}

std::string text_at(const Database::Statement& statement, int column) {
  const unsigned char* text = ::sqlite3_column_text(statement.get(), column);
  const auto length = static_cast<std::size_t>(::sqlite3_column_bytes(statement.get(), column));
  return text == nullptr ? "" : std::string(reinterpret_cast<const char*>(text), length);
}

/// Binds these and runs the statement, which gives no rows.
Result<void> put(const Database& database, const Database::Statement& statement,
                 std::initializer_list<std::string_view> texts, std::initializer_list<std::int64_t> numbers = {}) {
  int at = 0;
  for (const std::string_view text : texts) {
    ::sqlite3_bind_text(statement.get(), ++at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  for (const std::int64_t number : numbers) {
    ::sqlite3_bind_int64(statement.get(), ++at, number);
  }
  const bool done = ::sqlite3_step(statement.get()) == SQLITE_DONE;
  auto error = done ? Result<void>() : database.failed("cannot be written");
  ::sqlite3_reset(statement.get());
  return error;
}

}  // namespace

Result<Store> Store::open(const std::string& path, std::uint64_t most_bytes) {
  Database database = TRY(Database::create(path));
  TRY(database.run(kSchema, "cannot be used (by another mapwatch already?)"));
  const std::uint64_t pages = std::max(most_bytes / kPageBytes, kFewestPages);
  TRY(database.run(fmt::format("PRAGMA max_page_count={}", pages).c_str(), "cannot be bounded"));
  return Store(std::move(database));
}

Result<Store::State> Store::load() const {
  State state;
  const Database::Statement alerts =
      TRY(database_.prepare("SELECT labels, annotations, starts_ns, ends_ns, told FROM alert"));
  int step = 0;
  while ((step = ::sqlite3_step(alerts.get())) == SQLITE_ROW) {
    auto labels = to_labels(text_at(alerts, 0));
    auto annotations = to_labels(text_at(alerts, 1));
    if (labels && annotations) {
      state.alerts.push_back({{std::move(*labels), std::move(*annotations), ::sqlite3_column_int64(alerts.get(), 2),
                               ::sqlite3_column_int64(alerts.get(), 3)},
                              ::sqlite3_column_int(alerts.get(), 4) != 0});
    }
  }
  if (step != SQLITE_DONE) {
    return database_.failed("cannot be read");
  }
  const Database::Statement waiting =
      TRY(database_.prepare("SELECT key, body, created_ns FROM waiting ORDER BY number"));
  while ((step = ::sqlite3_step(waiting.get())) == SQLITE_ROW) {
    state.waiting.push_back({text_at(waiting, 0), text_at(waiting, 1), ::sqlite3_column_int64(waiting.get(), 2)});
  }
  if (step != SQLITE_DONE) {
    return database_.failed("cannot be read");
  }
  return state;
}

Result<void> Store::write(const Changes& changes) const {
  const auto prepare = [this](const char* sql) { return database_.prepare(sql); };
  const Database::Statement drop = TRY(prepare("DELETE FROM waiting WHERE key=?1"));
  for (const std::string& key : changes.removed) {
    TRY(put(database_, drop, {key}));
  }
  const Database::Statement add =
      TRY(prepare("INSERT INTO waiting(key, body, created_ns) VALUES(?1,?2,?3) ON CONFLICT(key) DO NOTHING"));
  for (const Notification* each : changes.added) {
    TRY(put(database_, add, {each->key, each->body}, {each->created_ns}));
  }
  const Database::Statement over = TRY(prepare("DELETE FROM alert WHERE fingerprint=?1"));
  const Database::Statement keep = TRY(prepare("INSERT OR REPLACE INTO alert VALUES(?1,?2,?3,?4,?5,?6)"));
  for (const Change& change : changes.alerts) {
    if (!change.kept) {
      TRY(put(database_, over, {change.name}));
      continue;
    }
    const Alert& alert = change.kept->alert;
    TRY(put(database_, keep, {change.name, to_text(alert.labels), to_text(alert.annotations)},
            {alert.starts_ns, alert.ends_ns, change.kept->told ? 1 : 0}));
  }
  return {};
}

Result<void> Store::save(const Changes& changes) const {
  TRY(database_.run("BEGIN IMMEDIATE", "is locked"));
  auto done = write(changes);
  if (done) {
    done = database_.run("COMMIT", "cannot be written");
  }
  if (!done) {
    (void)database_.run("ROLLBACK", "");  // what failed is told; a rollback has nothing to add
  }
  return done;
}

}  // namespace mapwatch::alert
