#include "app/last_moments.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/signals.h"

namespace mapwatch::app {
namespace {

// Events that wait for their process to be followed: it is within milliseconds, or never.
constexpr std::size_t kMostEarly = 256;

bool has_ended(int pidfd) {
  pollfd end = {pidfd, POLLIN, 0};
  return ::poll(&end, 1, 0) == 1;
}

}  // namespace

LastMoments::LastMoments(const Clock& clock, Watch watch, FollowLimits limits)
    : clock_(clock), limits_(limits), watch_(std::move(watch)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
}

LastMoments::~LastMoments() {
  finish();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void LastMoments::wake() const { ::eventfd_write(wake_.get(), 1); }

LastMoments::Entry* LastMoments::find(std::uint64_t number) {
  const auto found = std::ranges::find(entries_, number, &Entry::number);
  return found == entries_.end() ? nullptr : &*found;
}

std::uint64_t LastMoments::follow(std::uint32_t pid, std::uint32_t tid, int pidfd) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t now = clock_.monotonic_ns();
  for (Entry& old : entries_) {
    if (old.pid == pid) {
      update(old, now, true);  // the number is another process's now
    }
  }
  Entry& entry = entries_.emplace_back();
  entry.number = ++numbers_;
  entry.pid = pid;
  entry.pidfd.reset(::fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
  const auto noted = watch_ ? (*watch_)->follow(pid, tid) : Result<void>(tl::unexpected(watch_.error()));
  entry.noted = noted.has_value();
  entry.moments.blind = noted ? "" : noted.error().message;
  entry.since_ns = clock_.monotonic_ns();
  std::erase_if(early_, [&](const auto& early) {
    if (early.first != pid) {
      return false;
    }
    if (now - early.second.at_ns <= limits_.end_ns) {  // older: another process had this number
      add_other(entry.moments, early.second);
    }
    return true;
  });
  wake();
  return entry.number;
}

void LastMoments::add_other(dossier::Ending& moments, const dossier::OtherFatal& other) {
  if (moments.others.size() < dossier::kMostOthers) {
    moments.others.push_back(other);
  } else {
    ++moments.more_others;
  }
}

void LastMoments::also_fatal(std::uint32_t pid, const dossier::OtherFatal& other) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->pid == pid && other.at_ns <= entry->moments.gone_ns.value_or(UINT64_MAX)) {
      add_other(entry->moments, other);
      return;
    }
  }
  if (early_.size() == kMostEarly) {
    early_.pop_front();
  }
  early_.emplace_back(pid, other);
}

bool LastMoments::update(Entry& entry, std::uint64_t now, bool gone) {
  dossier::Ending& moments = entry.moments;
  if (gone && !moments.gone_ns) {
    moments.gone_ns = now;
  }
  const bool given_up = finish_ns_ != 0 && now - finish_ns_ >= limits_.grace_ns;
  moments.over = moments.over || moments.gone_ns || given_up || now - entry.since_ns >= limits_.end_ns;
  if (entry.noted) {
    if (moments.over || now - entry.since_ns >= limits_.calls_ns) {
      moments.calls = (*watch_)->leave(entry.pid);
      moments.calls_until_ns = now;
      entry.noted = false;
    } else {
      moments.calls = (*watch_)->look(entry.pid);
    }
  }
  return moments.over;
}

dossier::Ending LastMoments::look(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  Entry* entry = find(number);
  if (entry == nullptr) {
    return {};
  }
  const bool gone = has_ended(entry->pidfd.get());
  update(*entry, clock_.monotonic_ns(), gone);
  return entry->moments;
}

void LastMoments::when_over(std::uint64_t number, Done done) {
  const std::lock_guard lock(mutex_);
  if (Entry* entry = find(number)) {
    entry->done = std::move(done);
    wake();
  }
}

void LastMoments::forget(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (Entry* entry = find(number); entry != nullptr && !entry->done) {
    if (entry->noted) {
      (*watch_)->leave(entry->pid);
    }
    entries_.remove_if([number](const Entry& any) { return any.number == number; });
  }
}

void LastMoments::finish() {
  std::unique_lock lock(mutex_);
  finish_ns_ = std::max<std::uint64_t>(clock_.monotonic_ns(), 1);
  wake();
  changed_.wait(lock, [this] {
    return !telling_ && std::ranges::none_of(entries_, [](const Entry& entry) { return bool(entry.done); });
  });
}

void LastMoments::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
    std::uint64_t next = UINT64_MAX;
    const auto until = [&](std::uint64_t at) { next = std::min(next, at); };
    for (const Entry& entry : entries_) {
      if (entry.moments.over) {
        continue;
      }
      fds.push_back({entry.pidfd.get(), POLLIN, 0});
      until(entry.since_ns + limits_.end_ns);
      if (entry.noted) {
        until(entry.since_ns + limits_.calls_ns);
      }
      if (finish_ns_ != 0) {
        until(finish_ns_ + limits_.grace_ns);
      }
    }
    const std::uint64_t before = clock_.monotonic_ns();
    lock.unlock();
    int timeout = -1;
    if (next != UINT64_MAX) {
      timeout = next <= before ? 0 : static_cast<int>((next - before) / 1'000'000 + 1);
    }
    ::poll(fds.data(), fds.size(), timeout);
    eventfd_t count = 0;
    ::eventfd_read(wake_.get(), &count);
    lock.lock();
    for (Entry& entry : entries_) {
      if (!entry.moments.over) {
        const bool gone = has_ended(entry.pidfd.get());  // before the clock: it is gone by then, not later
        update(entry, clock_.monotonic_ns(), gone);
      }
    }
    // One at a time: `done` runs without the lock, and the list may change meanwhile.
    for (;;) {
      const auto over = std::ranges::find_if(entries_, [](const Entry& any) { return any.moments.over && any.done; });
      if (over == entries_.end()) {
        break;
      }
      const Entry told = std::move(*over);
      entries_.erase(over);
      telling_ = true;
      lock.unlock();
      told.done(told.moments);
      lock.lock();
      telling_ = false;
      changed_.notify_all();
    }
  }
}

}  // namespace mapwatch::app
