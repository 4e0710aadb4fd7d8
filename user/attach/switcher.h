// Makes and ends links off the event thread: an attach takes some milliseconds, a detach tens of them, and meanwhile
// the ring must be read and a crashing process be let go.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::attach {

class Switcher {
 public:
  /// Links by the group of processes that pays for them, then by a number within the group.
  using Name = std::pair<std::uint64_t, std::uint32_t>;
  /// A link: it is detached when this goes.
  using Link = std::shared_ptr<void>;
  using Make = std::function<Result<Link>()>;

  struct Done {
    Name name;
    bool attached = false;       ///< true: it stands now; false: detached, or not attachable
    std::optional<Error> error;  ///< why it could not be attached
    std::uint64_t began_ns = 0;  ///< of the call, CLOCK_MONOTONIC
    std::uint64_t ended_ns = 0;
  };

  /// `clock` must outlive it and be that of the kernel's events.
  static Result<std::unique_ptr<Switcher>> create(const Clock& clock);
  /// Detaches what still stands.
  ~Switcher();

  /// Queues an attach. `make` runs on the switcher's thread. The link is detached at `until_ns` by itself; UINT64_MAX:
  /// it stands until told.
  void attach(Name name, Make make, std::uint64_t until_ns);
  /// The same here and now, on the caller's thread: for a process that is held until its probes stand.
  Result<Done> attach_now(Name name, const Make& make, std::uint64_t until_ns);
  /// Before any attach that waits. Nothing happens when there is no such link.
  void detach(Name name);
  /// Moves the time at which a link ends by itself.
  void keep(Name name, std::uint64_t until_ns);
  /// Detaches all links of the group, and forgets what was queued for it. When it returns none stands.
  void end_group(std::uint64_t group);

  /// Readable when done() has something.
  int fd() const { return wake_.get(); }
  /// What was done since the last call, in order.
  std::vector<Done> done();

 private:
  struct Standing {
    Link link;
    std::uint64_t until_ns = UINT64_MAX;
  };
  struct Wanted {
    Name name;
    Make make;
    std::uint64_t until_ns;
  };
  Switcher(const Clock& clock, UniqueFd wake);
  void run();
  /// Both with the lock held; they give it up for the call into the kernel.
  void make_one(std::unique_lock<std::mutex>& lock);
  void end_one(std::unique_lock<std::mutex>& lock, Name name);
  std::optional<Name> ended_by_time(std::uint64_t now) const;
  void note(Done done);

  const Clock& clock_;
  const UniqueFd wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Name> to_detach_;
  std::deque<Wanted> to_attach_;
  std::map<Name, Standing> standing_;
  std::optional<Name> busy_;  ///< its call into the kernel is under way
  std::vector<Done> done_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace mapwatch::attach
