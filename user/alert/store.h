// What is to survive a restart: the open alerts, and what receivers have not taken yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alert/groups.h"
#include "base/database.h"
#include "base/result.h"

namespace mapwatch::alert {

/// A body on its way.
struct Notification {
  std::string key;  ///< names it at the receiver, however often it is sent
  std::string body;
  std::int64_t created_ns = 0;  ///< CLOCK_REALTIME
};

/// An SQLite file of one process: another one is refused. What save() returned from is on the disk (synchronous=FULL).
class Store {
 public:
  /// Makes the file when it is not there, readable by its owner only; it does not grow beyond `most_bytes` and what its
  /// log of changes takes. kFailed says what is wrong with it.
  static Result<Store> open(const std::string& path, std::uint64_t most_bytes);

  struct State {
    std::vector<Groups::Kept> alerts;
    std::vector<Notification> waiting;  ///< oldest first
  };
  /// A row that is none of ours is passed over.
  Result<State> load() const;

  struct Change {
    std::string name;                  ///< fingerprint
    std::optional<Groups::Kept> kept;  ///< nullopt: it is over
  };
  struct Changes {
    std::vector<Change> alerts;
    std::vector<const Notification*> added;  ///< in their order
    std::vector<std::string> removed;        ///< keys
  };
  /// All or nothing. kFailed: nothing was changed.
  Result<void> save(const Changes& changes) const;

 private:
  explicit Store(Database database) : database_(std::move(database)) {}
  Result<void> write(const Changes& changes) const;
  Database database_;
};

}  // namespace mapwatch::alert
