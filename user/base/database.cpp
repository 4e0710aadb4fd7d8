#include "base/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "base/unique_fd.h"

namespace mapwatch {

void Database::Closer::operator()(sqlite3* database) const { ::sqlite3_close_v2(database); }
void Database::Finalizer::operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }

tl::unexpected<Error> Database::failed(const char* doing) const {
  sqlite3* database = get();
  const char* path = database != nullptr ? ::sqlite3_db_filename(database, "main") : nullptr;
  const bool other = database != nullptr && ::sqlite3_errcode(database) == SQLITE_NOTADB;
  return fail(ErrorKind::kFailed,
              fmt::format("{}: {}: {}", path != nullptr ? path : "database", doing,
                          database != nullptr ? ::sqlite3_errmsg(database) : "no memory"),
              other ? "move it away: `mapwatch daemon` makes a new one" : "");
}

Result<Database> Database::open(const std::string& path, int flags) {
  sqlite3* database = nullptr;
  const int opened = ::sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  Database out{std::unique_ptr<sqlite3, Closer>(database)};
  if (opened != SQLITE_OK) {
    // It does not know its path yet.
    return fail(ErrorKind::kFailed, fmt::format("{}: cannot be opened: {}", path,
                                                database != nullptr ? ::sqlite3_errmsg(database) : "no memory"));
  }
  return out;
}

Result<Database> Database::create(const std::string& path) {
  // SQLite would make it readable by all; its companions (-wal, -shm) take over its mode.
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) {
    return fail_errno(fmt::format("{} cannot be made", path));
  }
  return open(path, SQLITE_OPEN_READWRITE);
}

Result<Database> Database::open(const std::string& path) { return open(path, SQLITE_OPEN_READONLY); }

Result<void> Database::run(const char* sql, const char* doing) const {
  if (::sqlite3_exec(get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failed(doing);
  }
  return {};
}

Result<Database::Statement> Database::prepare(const char* sql) const {
  sqlite3_stmt* statement = nullptr;
  if (::sqlite3_prepare_v2(get(), sql, -1, &statement, nullptr) != SQLITE_OK) {
    return failed("cannot be asked");
  }
  return Statement(statement);
}

}  // namespace mapwatch
