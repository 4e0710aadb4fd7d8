// An SQLite file: opened, asked, and its errors as values.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mapwatch {

class Database {
 public:
  /// For writing: makes the file when it is not there, readable by its owner only. kFailed says what is wrong with it.
  static Result<Database> create(const std::string& path);
  /// For reading. kFailed when there is no such file.
  static Result<Database> open(const std::string& path);

  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

  sqlite3* get() const { return database_.get(); }
  /// Statements without an answer. `doing`: what could not be done, for the error.
  Result<void> run(const char* sql, const char* doing) const;
  Result<Statement> prepare(const char* sql) const;
  /// The error of the last call: "PATH: DOING: why".
  tl::unexpected<Error> failed(const char* doing) const;

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  static Result<Database> open(const std::string& path, int flags);
  explicit Database(std::unique_ptr<sqlite3, Closer> database) : database_(std::move(database)) {}
  std::unique_ptr<sqlite3, Closer> database_;
};

}  // namespace mapwatch
