// The socket between mapwatch and its guardian: whole messages, each with at most three descriptors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::guardian {

enum class Kind : std::uint32_t {
  // from mapwatch
  kHello = 1,     ///< fds: mapwatch's own pidfd, the ring of freeze notes, the gate; value: --max-freeze in ns; text:
                  ///< procfs root
  kWatch = 2,     ///< fd: the process's pidfd; text: path of its HeldFile
  kReleased = 3,  ///< mapwatch let the process go
  kForget = 4,    ///< no longer watched
  // from the guardian
  kReady = 5,     ///< value: its PID; text: what it could not do, or empty
  kWatching = 6,  ///< value 1: yes; 0: no, text says why
  kLetGo = 7,     ///< it let the process go at `time_ns`; value: LetGo
};

struct Message {
  Kind kind = Kind::kHello;
  std::uint32_t tgid = 0;
  std::uint64_t value = 0;
  std::uint64_t time_ns = 0;
  std::string text;
  std::vector<UniqueFd> fds;
};

enum class Received {
  kMessage,
  kNothing,  ///< none waits now
  kClosed,   ///< the other side is gone
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
  /// Two ends; both close on exec.
  static Result<std::pair<Channel, Channel>> pair();

  int fd() const { return socket_.get(); }
  /// Never blocks: a side that does not read is as good as dead. `fds` stay the caller's.
  Result<void> send(const Message& message, const std::vector<int>& fds = {});
  /// Takes one message that waits; a message that is not understood is an error.
  Result<Received> receive(Message& message);

 private:
  UniqueFd socket_;
};

}  // namespace mapwatch::guardian
