#include "attach/switcher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/signals.h"

namespace mapwatch::attach {

namespace {

std::uint64_t end_of(std::uint64_t begin_ns, std::uint64_t for_ns) {
  return for_ns < UINT64_MAX - begin_ns ? begin_ns + for_ns : Switcher::kForEver;
}

}  // namespace

Result<std::unique_ptr<Switcher>> Switcher::create(const Clock& clock) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) {
    return fail_errno("eventfd");
  }
  return std::unique_ptr<Switcher>(new Switcher(clock, std::move(wake)));
}

Switcher::Switcher(const Clock& clock, UniqueFd wake) : clock_(clock), wake_(std::move(wake)) {
  const SignalsBlocked blocked;
  threads_.emplace_back([this] { make_all(); });
  for (std::size_t i = 0; i < kEnders; ++i) {
    threads_.emplace_back([this] { end_all(); });
  }
}

Switcher::~Switcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Switcher::note(Done done) {
  done_.push_back(std::move(done));
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then it is readable.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void Switcher::attach(Name name, Make make, std::uint64_t for_ns) {
  {
    const std::lock_guard lock(mutex_);
    to_attach_.push_back({name, std::move(make), for_ns});
  }
  changed_.notify_all();
}

Result<Switcher::Done> Switcher::attach_now(Name name, const Make& make, std::uint64_t for_ns) {
  Done done{name, true, {}, clock_.monotonic_ns(), 0};
  Link link = TRY(make());
  done.ended_ns = clock_.monotonic_ns();
  {
    const std::lock_guard lock(mutex_);
    standing_[name] = {std::move(link), end_of(done.ended_ns, for_ns)};
  }
  changed_.notify_all();
  return done;
}

void Switcher::detach(Name name) {
  {
    const std::lock_guard lock(mutex_);
    to_detach_.push_back(name);
  }
  changed_.notify_all();
}

void Switcher::keep(Name name, std::uint64_t for_ns) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = standing_.find(name); found != standing_.end()) {
      found->second.until_ns = end_of(clock_.monotonic_ns(), for_ns);
    }
    for (Wanted& wanted : to_attach_) {
      if (wanted.name == name) {
        wanted.for_ns = for_ns;
      }
    }
  }
  changed_.notify_all();
}

bool Switcher::has(std::uint64_t group) const {
  const auto of_group = [group](const Name& name) { return name.first == group; };
  return (making_ && of_group(*making_)) || std::any_of(ending_.begin(), ending_.end(), of_group) ||
         std::any_of(standing_.begin(), standing_.end(),
                     [&of_group](const auto& standing) { return of_group(standing.first); });
}

void Switcher::end_group(std::uint64_t group) {
  std::unique_lock lock(mutex_);
  std::erase_if(to_attach_, [group](const Wanted& wanted) { return wanted.name.first == group; });
  while (has(group)) {
    for (auto& [name, standing] : standing_) {
      standing.until_ns = name.first == group ? 0 : standing.until_ns;
    }
    changed_.notify_all();
    changed_.wait(lock);
  }
  std::erase_if(to_detach_, [group](const Name& name) { return name.first == group; });
  std::erase_if(done_, [group](const Done& done) { return done.name.first == group; });
}

std::vector<Switcher::Done> Switcher::done() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));  // EAGAIN: nothing since
  return std::exchange(done_, {});
}

std::optional<Switcher::Name> Switcher::next_to_end(std::uint64_t now) {
  for (auto at = to_detach_.begin(); at != to_detach_.end();) {
    const Name name = *at;
    if (making_ == name) {
      ++at;  // when it stands
      continue;
    }
    at = to_detach_.erase(at);
    // One that waits to be attached is not attached any more.
    if (std::erase_if(to_attach_, [&name](const Wanted& wanted) { return wanted.name == name; }) > 0) {
      note({name, false, {}, now, now});
    }
    if (standing_.contains(name)) {
      return name;
    }
  }
  for (const auto& [name, standing] : standing_) {
    if (standing.until_ns <= now || stopping_) {
      return name;
    }
  }
  return std::nullopt;
}

std::uint64_t Switcher::next_end_ns() const {
  std::uint64_t next = kForEver;
  for (const auto& [name, standing] : standing_) {
    next = std::min(next, standing.until_ns);
  }
  return next;
}

void Switcher::end_one(std::unique_lock<std::mutex>& lock, Name name) {
  const auto found = standing_.find(name);
  Link link = std::move(found->second.link);
  standing_.erase(found);
  ending_.insert(name);
  lock.unlock();
  Done done{name, false, {}, clock_.monotonic_ns(), 0};
  link.reset();
  done.ended_ns = clock_.monotonic_ns();
  lock.lock();
  ending_.erase(name);
  note(std::move(done));
  changed_.notify_all();
}

void Switcher::make_one(std::unique_lock<std::mutex>& lock) {
  Wanted wanted = std::move(to_attach_.front());
  to_attach_.pop_front();
  making_ = wanted.name;
  lock.unlock();
  Done done{wanted.name, true, {}, clock_.monotonic_ns(), 0};
  auto made = wanted.make();
  done.ended_ns = clock_.monotonic_ns();
  lock.lock();
  making_.reset();
  if (made) {
    standing_[wanted.name] = {std::move(*made), end_of(done.ended_ns, wanted.for_ns)};
  } else {
    done.attached = false;
    done.error = std::move(made).error();
  }
  note(std::move(done));
  changed_.notify_all();
}

void Switcher::make_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    // What costs the target most goes first: an attach waits for the detaches that were asked for.
    changed_.wait(lock, [this] { return stopping_ || (!to_attach_.empty() && to_detach_.empty()); });
    if (stopping_) {
      return;
    }
    make_one(lock);
  }
}

void Switcher::end_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    const std::uint64_t now = clock_.monotonic_ns();
    const bool asked = !to_detach_.empty();
    const auto name = next_to_end(now);
    if (asked && to_detach_.empty()) {
      changed_.notify_all();  // attaches may go on
    }
    if (name) {
      end_one(lock, *name);
      continue;
    }
    if (stopping_ && !making_) {
      return;
    }
    const std::uint64_t next = next_end_ns();
    if (next == kForEver) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, std::chrono::nanoseconds(next - now));
    }
  }
}

}  // namespace mapwatch::attach
