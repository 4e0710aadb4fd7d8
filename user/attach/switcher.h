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
#include <set>
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

  /// Links that are detached at once. A call takes 30 to 75 ms, and the text is as in its file in the first of them:
  /// eight calls one after the other leave the last link's sites patched for 250 ms and more (docs/governor.md).
  static constexpr std::size_t kEnders = 8;

  /// For `for_ns`: it stands until told.
  static constexpr std::uint64_t kForEver = UINT64_MAX;

  /// Queues an attach. `make` runs on a thread of the switcher's, one at a time. The link is detached by itself when it
  /// stood for `for_ns`.
  void attach(Name name, Make make, std::uint64_t for_ns);
  /// The same here and now, on the caller's thread: for a process that is held until its probes stand.
  Result<Done> attach_now(Name name, const Make& make, std::uint64_t for_ns);
  /// Before any attach that waits. Nothing happens when there is no such link.
  void detach(Name name);
  /// Moves the time at which a link ends by itself: `for_ns` from now on.
  void keep(Name name, std::uint64_t for_ns);
  /// Detaches all links of the group, and forgets what was queued for it and is done. When it returns none stands.
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
    std::uint64_t for_ns;
  };
  Switcher(const Clock& clock, UniqueFd wake);
  void make_all();
  void end_all();
  /// Both with the lock held; they give it up for the call into the kernel.
  void make_one(std::unique_lock<std::mutex>& lock);
  void end_one(std::unique_lock<std::mutex>& lock, Name name);
  /// What goes next: detaches that were asked for, then links whose time is over, when it stops all.
  std::optional<Name> next_to_end(std::uint64_t now);
  std::uint64_t next_end_ns() const;
  bool has(std::uint64_t group) const;
  void note(Done done);

  const Clock& clock_;
  const UniqueFd wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Name> to_detach_;
  std::deque<Wanted> to_attach_;
  std::map<Name, Standing> standing_;
  std::optional<Name> making_;  ///< its call into the kernel is under way
  std::set<Name> ending_;       ///< likewise
  std::vector<Done> done_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mapwatch::attach
