#include "alert/sender.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "base/make_directories.h"
#include "base/signals.h"

namespace mapwatch::alert {
namespace {

// A file holds bodies and open alerts, each in pages.
constexpr std::uint64_t kAlertsBytes = 32u << 20;
// Sightings of open alerts are no news that wake the thread, and are looked at so often; without open alerts there is
// nothing to look at.
constexpr std::uint64_t kLookNs = 1'000'000'000;
constexpr std::uint64_t kLongNs = 3'600'000'000'000;

Result<Store> open(const std::string& path, std::uint64_t spool_bytes) {
  TRY(make_directories(path.substr(0, path.rfind('/'))));
  return Store::open(path, 2 * spool_bytes + kAlertsBytes);
}

}  // namespace

Sender::Sender(Receiver receiver, std::unique_ptr<CurlTransport> transport, std::string store_path, const Clock& clock)
    : clock_(clock),
      name_(receiver.name),
      transport_(std::move(transport)),
      dispatcher_(
          receiver, clock, *transport_,
          [path = std::move(store_path), bytes = receiver.spool_bytes] { return open(path, bytes); },
          std::random_device()()),
      receiver_(std::move(receiver)) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
}

Result<std::unique_ptr<Sender>> Sender::start(Receiver receiver, std::string store_path, const Clock& clock) {
  auto transport = TRY(CurlTransport::create(clock));
  return std::unique_ptr<Sender>(new Sender(std::move(receiver), std::move(transport), std::move(store_path), clock));
}

Sender::~Sender() { finish(); }

void Sender::change(Receiver receiver) {
  {
    const std::lock_guard lock(mutex_);
    if (receiver == receiver_) {
      return;
    }
    receiver_ = std::move(receiver);
    receiver_changed_ = true;
  }
  changed_.notify_all();
}

void Sender::tell(Sighting sighting) {
  {
    const std::lock_guard lock(mutex_);
    if (told_.size() >= kMostQueued) {
      ++dropped_;
      return;
    }
    told_.push_back(std::move(sighting));
  }
  changed_.notify_all();
}

void Sender::touch(std::string fingerprint) {
  // No news: it is looked at when something else is.
  const std::lock_guard lock(mutex_);
  if (touched_.size() < kMostQueued) {
    touched_.insert(std::move(fingerprint));
  }
}

void Sender::ask_to_end() {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(stopping_, true)) {
      transport_->end_by(clock_.monotonic_ns() + kFinishNs);
    }
  }
  changed_.notify_all();
}

void Sender::finish() {
  ask_to_end();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Dispatcher::Counts Sender::counts() const {
  const std::lock_guard lock(mutex_);
  Dispatcher::Counts counts = counts_;
  counts.dropped += dropped_;
  return counts;
}

void Sender::run() {
  std::uint64_t next_ns = 0;
  std::uint64_t most_ns = kLongNs;
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    const std::uint64_t now_ns = clock_.monotonic_ns();
    const std::uint64_t wait_ns = next_ns > now_ns ? std::min(next_ns - now_ns, most_ns) : 0;
    changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns),
                      [this] { return stopping_ || receiver_changed_ || !told_.empty(); });
    last = stopping_;
    if (std::exchange(receiver_changed_, false)) {
      dispatcher_.change(receiver_);
    }
    const std::vector<Sighting> told = std::exchange(told_, {});
    const std::unordered_set<std::string> touched = std::exchange(touched_, {});
    lock.unlock();
    for (const Sighting& sighting : told) {
      dispatcher_.tell(sighting);
    }
    for (const std::string& fingerprint : touched) {
      dispatcher_.touch(fingerprint);
    }
    if (last) {
      dispatcher_.finish();
    } else {
      next_ns = dispatcher_.step();
      most_ns = dispatcher_.open() > 0 ? kLookNs : kLongNs;
    }
    lock.lock();
    counts_ = dispatcher_.counts();
  }
}

}  // namespace mapwatch::alert
