// Starts another program: nothing of ours comes along but what is said here.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch {

/// Held by whoever closes descriptors and must be the last to hold them, and by spawn() while its child has copies of
/// all (attach/shield.h: a link that is closed is to be gone).
std::mutex& descriptor_copies();

/// A user to run as.
struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string name;
  std::string home;
};

/// Of a user by name, or by number where that has no name. kUsage: there is no such user.
Result<Credentials> find_user(const std::string& user);

struct Program {
  std::vector<std::string> command;      ///< an absolute path and its arguments
  std::vector<std::string> environment;  ///< NAME=VALUE, all of it
  // Above 2; -1: /dev/null.
  int in = -1;
  int out = -1;
  int err = -1;
  bool own_session = false;  ///< and a process group of its own, of its number
  std::optional<Credentials> user;
};

struct Spawned {
  pid_t pid = -1;
  UniqueFd handle;  ///< pidfd. No signal tells of its end; it is waited for with __WALL
};

/// It has no signal blocked or ignored, no capability that its user does not have, stands in / if it has a session of
/// its own, and ends with the calling thread at the latest. Errors: kFailed, kPermission when it cannot be started.
Result<Spawned> spawn(const Program& program);

/// Takes its end, waited for so long at most; of one that sits in a dead disk nobody waits for the end.
void reap(const Spawned& child, int most_ms);

/// Two ends of a pipe, neither of them 0, 1 or 2.
struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
  static Result<Pipe> create();
};

}  // namespace mapwatch
