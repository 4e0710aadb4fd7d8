#include "guardian/keeper.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "guardian/channel.h"
#include "guardian/held_file.h"
#include "guardian/let_go.h"
#include "guardian/own_cgroup.h"
#include "guardian/parents.h"
#include "mapwatch/abi.h"

namespace mapwatch::guardian {
namespace {

constexpr std::uint64_t kGraceNs = 1'000'000'000;  // reading registers takes milliseconds
// For how long the parents of a process that was let go are looked after: while it dies, and while it is a zombie.
constexpr std::uint64_t kDyingNs = 60'000'000'000;
constexpr std::uint64_t kZombieNs = 1'000'000'000;
constexpr std::uint64_t kLookAgainNs = 20'000'000;

struct RingDeleter {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

class Keeper {
 public:
  explicit Keeper(Channel channel) : channel_(std::move(channel)) {}

  int run() {
    while (!owner_dead_) {
      wait();
      // Messages before deadlines: mapwatch may have let go in time and said so.
      take_messages();
      take_notes();
      if (socket_closed_ || owner_dead_) {
        close_gate();
      }
      if (!owner_ && socket_closed_) {
        return 0;  // it died before it could freeze anything
      }
      let_go_of_what_is_due();
      look_after_parents();
    }
    for (auto& [tgid, kept] : kept_) {
      ::unlink(kept.path.c_str());
    }
    kept_.clear();
    while (!dying_.empty()) {
      wait();
      look_after_parents();
    }
    leave_own_cgroup();
    return 0;
  }

 private:
  struct Kept {
    UniqueFd pidfd;
    std::string path;
    HeldRecord record;
    std::optional<std::uint64_t> due_ns;     ///< frozen, and to be let go by then
    std::optional<std::uint64_t> traced_ns;  ///< let go; by then mapwatch must not trace it any more
  };

  /// Let go, and dying: a parent may have stopped itself, or be about to.
  struct Dying {
    ProcessKey process;
    std::uint64_t until_ns = 0;
    bool dead = false;
  };

  void wait() {
    std::uint64_t next = dying_.empty() ? UINT64_MAX : clock_.monotonic_ns() + kLookAgainNs;
    for (const auto& [tgid, kept] : kept_) {
      next = std::min({next, kept.due_ns.value_or(UINT64_MAX), kept.traced_ns.value_or(UINT64_MAX)});
    }
    int timeout = -1;
    if (next != UINT64_MAX) {
      const std::uint64_t now = clock_.monotonic_ns();
      timeout = next <= now ? 0 : static_cast<int>((next - now + 999'999) / 1'000'000);
    }
    pollfd fds[3] = {{socket_closed_ ? -1 : channel_.fd(), POLLIN, 0},
                     {owner_ && !owner_dead_ ? owner_.get() : -1, POLLIN, 0},
                     {ring_ ? ring_buffer__epoll_fd(ring_.get()) : -1, POLLIN, 0}};
    if (::poll(fds, 3, timeout) > 0) {
      owner_dead_ = owner_dead_ || (owner_ && fds[1].revents != 0);
    }
  }

  void take_messages() {
    Message message;
    while (!socket_closed_) {
      const auto received = channel_.receive(message);
      if (received && *received == Received::kNothing) {
        return;
      }
      if (!received || *received == Received::kClosed) {
        socket_closed_ = true;
        return;
      }
      handle(message);
    }
  }

  void handle(Message& message) {
    switch (message.kind) {
      case Kind::kHello:
        hello(message);
        break;
      case Kind::kWatch:
        watch(message);
        break;
      case Kind::kReleased:
        take_notes();  // the freeze that this ends is noted before mapwatch could learn of it
        if (const auto found = kept_.find(message.tgid); found != kept_.end()) {
          found->second.due_ns.reset();
          dying(found->second);
        }
        break;
      case Kind::kForget:
        kept_.erase(message.tgid);
        break;
      default:
        break;
    }
  }

  void hello(Message& message) {
    if (message.fds.size() != 3) {
      socket_closed_ = true;
      return;
    }
    owner_ = std::move(message.fds[0]);
    ring_map_ = std::move(message.fds[1]);
    gate_ = std::move(message.fds[2]);
    max_freeze_ns_ = message.value;
    procfs_ = proc::ProcFs(message.text);
    ring_.reset(ring_buffer__new(ring_map_.get(), &Keeper::on_note, this, nullptr));
    if (!ring_ || !set_gate(1)) {
      socket_closed_ = true;  // mapwatch sees the end of this process and freezes nothing
      return;
    }
    Message ready;
    ready.kind = Kind::kReady;
    ready.value = static_cast<std::uint64_t>(::getpid());
    ready.text = enter_own_cgroup();
    reply(ready);
  }

  void watch(Message& message) {
    Message answer;
    answer.kind = Kind::kWatching;
    answer.tgid = message.tgid;
    auto record = message.fds.size() == 1
                      ? read_held(message.text)
                      : Result<HeldRecord>(fail(ErrorKind::kMalformed, "a request without its process"));
    if (!record) {
      answer.text = record.error().message;
    } else if (::syscall(SYS_pidfd_send_signal, message.fds[0].get(), 0, nullptr, 0) != 0) {
      answer.text = std::string("it may not signal it: ") + std::strerror(errno);
    } else {
      answer.value = 1;
      Kept& kept = kept_[message.tgid];
      kept = {std::move(message.fds[0]), message.text, std::move(*record), std::nullopt, std::nullopt};
      const auto early = early_.find(message.tgid);
      if (early != early_.end()) {
        kept.due_ns = early->second;
        early_.erase(early);
      }
    }
    reply(answer);
  }

  void reply(const Message& message) {
    if (auto sent = channel_.send(message); !sent) {
      socket_closed_ = true;
    }
  }

  static int on_note(void* self, void* data, std::size_t size) {
    mw_freeze_note note = {};
    if (size >= sizeof(note)) {
      std::memcpy(&note, data, sizeof(note));
      static_cast<Keeper*>(self)->frozen(note);
    }
    return 0;
  }

  void frozen(const mw_freeze_note& note) {
    const std::uint64_t due = note.time_ns + max_freeze_ns_;
    const auto found = kept_.find(note.tgid);
    if (found != kept_.end()) {
      found->second.due_ns = due;
    } else {
      // Noted for a guardian that died: mapwatch is about to tell this one of the process.
      early_[note.tgid] = due;
    }
  }

  bool set_gate(std::uint64_t open) const {
    const std::uint32_t zero = 0;
    return ::bpf_map_update_elem(gate_.get(), &zero, &open, BPF_ANY) == 0;
  }

  /// After this no note comes any more, and all that came are taken: a program that passed the gate before has its note
  /// reserved in the ring, and is waited for. (The system call orders the store before the look at the ring.)
  void close_gate() {
    if (!ring_ || std::exchange(gate_closed_, true)) {
      return;
    }
    set_gate(0);
    const ring* notes = ring_buffer__ring(ring_.get(), 0);
    const std::uint64_t end = clock_.monotonic_ns() + kGraceNs;
    take_notes();
    while (ring__consumer_pos(notes) != ring__producer_pos(notes) && clock_.monotonic_ns() < end) {
      const timespec nap = {0, 20'000};
      ::nanosleep(&nap, nullptr);
      take_notes();
    }
  }

  void take_notes() {
    if (ring_) {
      ring_buffer__consume(ring_.get());
    }
  }

  void let_go_of_what_is_due() {
    const std::uint64_t now = clock_.monotonic_ns();
    const bool orphaned = socket_closed_ || owner_dead_;
    for (auto& [tgid, kept] : kept_) {
      if (kept.due_ns && (orphaned || *kept.due_ns <= now)) {
        kept.due_ns.reset();
        if (const LetGo outcome = let_go_of(tgid, kept); outcome != LetGo::kOtherStop && outcome != LetGo::kNotOurs) {
          dying(kept);
        }
        kept.traced_ns = now + kGraceNs;
      } else if (kept.traced_ns && *kept.traced_ns <= now) {
        kept.traced_ns.reset();
        end_hung_owner(kept);
      }
    }
  }

  void dying(const Kept& kept) { dying_.push_back({kept.record.process, clock_.monotonic_ns() + kDyingNs, false}); }

  void look_after_parents() {
    const std::uint64_t now = clock_.monotonic_ns();
    std::erase_if(dying_, [&](Dying& one) {
      const auto stat = procfs_.stat(one.process.pid);
      if (!stat || stat->start_time != one.process.start_time) {
        return true;  // its end was fetched
      }
      if (stat->dead() && !std::exchange(one.dead, true)) {
        one.until_ns = now + kZombieNs;
      }
      wake_parents(one.process.pid, procfs_);
      return now >= one.until_ns;
    });
  }

  LetGo let_go_of(std::uint32_t tgid, const Kept& kept) {
    const LetGo outcome =
        let_go(kept.pidfd.get(), kept.record.process.pid, kept.record.sites, Knowledge::kFrozen, procfs_);
    Message deed;
    deed.kind = Kind::kLetGo;
    deed.tgid = tgid;
    deed.time_ns = clock_.monotonic_ns();
    deed.value = static_cast<std::uint64_t>(outcome);
    if (!socket_closed_) {
      reply(deed);
    }
    return outcome;
  }

  /// SIGCONT does not move a thread in a ptrace stop. A mapwatch that reads registers long after --max-freeze hangs,
  /// and only its end lets such threads go.
  void end_hung_owner(const Kept& kept) {
    if (owner_dead_) {
      return;
    }
    const auto threads = procfs_.threads(kept.record.process.pid);
    const auto own = procfs_.threads(kept.record.owner.pid);
    if (!threads || !own) {
      return;
    }
    for (const int tid : *threads) {
      const auto status = procfs_.thread_status(kept.record.process.pid, tid);
      if (status && status->tracer_pid != 0 && std::find(own->begin(), own->end(), status->tracer_pid) != own->end()) {
        ::syscall(SYS_pidfd_send_signal, owner_.get(), SIGKILL, nullptr, 0);
        return;
      }
    }
  }

  Channel channel_;
  UniqueFd owner_;
  UniqueFd ring_map_;
  UniqueFd gate_;
  bool gate_closed_ = false;
  std::unique_ptr<ring_buffer, RingDeleter> ring_;
  proc::ProcFs procfs_;
  SystemClock clock_;
  std::uint64_t max_freeze_ns_ = 0;
  std::map<std::uint32_t, Kept> kept_;
  std::map<std::uint32_t, std::uint64_t> early_;
  std::vector<Dying> dying_;
  bool socket_closed_ = false;
  bool owner_dead_ = false;
};

}  // namespace

int run_keeper(int socket) {
  // It ends when mapwatch has ended, not before: what asks mapwatch to stop must not stop this first.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) {
    ::signal(signal, SIG_IGN);
  }
  ::prctl(PR_SET_NAME, "mapwatch-guard");
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  return Keeper(Channel(UniqueFd(socket))).run();
}

}  // namespace mapwatch::guardian
