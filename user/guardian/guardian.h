// The guardian, seen from mapwatch: a process of its own that lets a frozen process go when mapwatch dies, hangs or
// takes too long. Start it before any BPF object is opened: what it does not inherit it cannot keep in the kernel.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "guardian/channel.h"
#include "guardian/let_go.h"

namespace mapwatch::guardian {

/// argv[0] of the guardian: the same executable, another program.
inline constexpr const char* kProgram = "mapwatch-guardian";
/// The descriptor of its end of the socket.
inline constexpr int kSocketFd = 3;

class Guardian {
 public:
  /// Starts the process (exec, its own session, no descriptor but the socket).
  static Result<Guardian> start();
  /// Hands over what it needs and waits until it is ready. `ring_fd`: map of mw_freeze_note events,
  /// `gate_fd`: map of the word without which nothing is frozen.
  Result<void> connect(int ring_fd, int gate_fd, std::uint64_t max_freeze_ns, const std::string& procfs_root);

  /// Returns once the guardian holds `pidfd` and has read `held_file`: the process may be frozen from then on.
  Result<void> watch(std::uint32_t tgid, int pidfd, const std::string& held_file);
  void released(std::uint32_t tgid);
  void forget(std::uint32_t tgid);

  /// Takes what it has sent; false once it is dead.
  bool alive();
  /// What the guardian did by itself, since watch().
  struct Deed {
    std::uint64_t time_ns = 0;  ///< CLOCK_MONOTONIC
    LetGo outcome = LetGo::kContinued;
  };
  std::optional<Deed> deed(std::uint32_t tgid) const;

  /// Readable when alive() has something to take.
  int fd() const { return channel_.fd(); }
  pid_t pid() const { return pid_; }
  /// What it could not do for itself (own cgroup); empty: nothing.
  const std::string& remark() const { return remark_; }

 private:
  Guardian(Channel channel, pid_t pid) : channel_(std::move(channel)), pid_(pid) {}
  /// The next message of this kind about `tgid`; others are taken on the way. Waits kAnswerMs at most.
  Result<Message> answer(Kind kind, std::uint32_t tgid);
  /// One message, if any: kClosed sets dead_.
  Result<Received> take(Message& message);
  Result<void> tell(const Message& message, const std::vector<int>& fds = {});

  Channel channel_;
  pid_t pid_ = 0;
  std::string remark_;
  std::map<std::uint32_t, Deed> deeds_;
  bool dead_ = false;
};

}  // namespace mapwatch::guardian
