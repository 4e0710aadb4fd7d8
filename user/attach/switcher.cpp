#include "attach/switcher.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace mapwatch::attach {

Result<std::unique_ptr<Switcher>> Switcher::create(const Clock& clock) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) {
    return fail_errno("eventfd");
  }
  return std::unique_ptr<Switcher>(new Switcher(clock, std::move(wake)));
}

Switcher::Switcher(const Clock& clock, UniqueFd wake) : clock_(clock), wake_(std::move(wake)) {
  // Signals are the main thread's: it reads them from a signalfd.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

Switcher::~Switcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Switcher::note(Done done) {
  done_.push_back(std::move(done));
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then it is readable.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void Switcher::attach(Name name, Make make, std::uint64_t until_ns) {
  {
    const std::lock_guard lock(mutex_);
    to_attach_.push_back({name, std::move(make), until_ns});
  }
  changed_.notify_all();
}

Result<Switcher::Done> Switcher::attach_now(Name name, const Make& make, std::uint64_t until_ns) {
  Done done{name, true, {}, clock_.monotonic_ns(), 0};
  Link link = TRY(make());
  done.ended_ns = clock_.monotonic_ns();
  {
    const std::lock_guard lock(mutex_);
    standing_[name] = {std::move(link), until_ns};
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

void Switcher::keep(Name name, std::uint64_t until_ns) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = standing_.find(name); found != standing_.end()) {
      found->second.until_ns = until_ns;
    }
    for (Wanted& wanted : to_attach_) {
      if (wanted.name == name) {
        wanted.until_ns = until_ns;
      }
    }
  }
  changed_.notify_all();
}

void Switcher::end_group(std::uint64_t group) {
  std::vector<Link> links;
  std::unique_lock lock(mutex_);
  std::erase_if(to_attach_, [group](const Wanted& wanted) { return wanted.name.first == group; });
  std::erase_if(to_detach_, [group](const Name& name) { return name.first == group; });
  changed_.wait(lock, [this, group] { return !busy_ || busy_->first != group; });
  const auto first = standing_.lower_bound({group, 0});
  const auto last = standing_.lower_bound({group + 1, 0});
  for (auto at = first; at != last; ++at) {
    links.push_back(std::move(at->second.link));
  }
  standing_.erase(first, last);
  lock.unlock();
  links.clear();
}

std::vector<Switcher::Done> Switcher::done() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));  // EAGAIN: nothing since
  return std::exchange(done_, {});
}

std::optional<Switcher::Name> Switcher::ended_by_time(std::uint64_t now) const {
  for (const auto& [name, standing] : standing_) {
    if (standing.until_ns <= now) {
      return name;
    }
  }
  return std::nullopt;
}

void Switcher::end_one(std::unique_lock<std::mutex>& lock, Name name) {
  const auto found = standing_.find(name);
  if (found == standing_.end()) {
    return;
  }
  Link link = std::move(found->second.link);
  standing_.erase(found);
  busy_ = name;
  lock.unlock();
  Done done{name, false, {}, clock_.monotonic_ns(), 0};
  link.reset();
  done.ended_ns = clock_.monotonic_ns();
  lock.lock();
  busy_.reset();
  note(std::move(done));
  changed_.notify_all();
}

void Switcher::make_one(std::unique_lock<std::mutex>& lock) {
  Wanted wanted = std::move(to_attach_.front());
  to_attach_.pop_front();
  busy_ = wanted.name;
  lock.unlock();
  Done done{wanted.name, true, {}, clock_.monotonic_ns(), 0};
  auto made = wanted.make();
  done.ended_ns = clock_.monotonic_ns();
  lock.lock();
  busy_.reset();
  if (made) {
    standing_[wanted.name] = {std::move(*made), wanted.until_ns};
  } else {
    done.attached = false;
    done.error = std::move(made).error();
  }
  note(std::move(done));
  changed_.notify_all();
}

void Switcher::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    // What costs the target most goes first: detaches that were asked for, then those whose time has come.
    if (!to_detach_.empty()) {
      const Name name = to_detach_.front();
      to_detach_.pop_front();
      // One that waits to be attached is not attached any more.
      const auto waiting = std::erase_if(to_attach_, [&name](const Wanted& wanted) { return wanted.name == name; });
      if (waiting > 0) {
        const std::uint64_t now = clock_.monotonic_ns();
        note({name, false, {}, now, now});
      }
      end_one(lock, name);
      continue;
    }
    const std::uint64_t now = clock_.monotonic_ns();
    if (const auto name = ended_by_time(now)) {
      end_one(lock, *name);
      continue;
    }
    if (!to_attach_.empty()) {
      make_one(lock);
      continue;
    }
    std::uint64_t next = UINT64_MAX;
    for (const auto& [name, standing] : standing_) {
      next = std::min(next, standing.until_ns);
    }
    if (next == UINT64_MAX) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, std::chrono::nanoseconds(next - now));
    }
  }
  std::map<Name, Standing> rest = std::exchange(standing_, {});
  lock.unlock();
  rest.clear();
}

}  // namespace mapwatch::attach
