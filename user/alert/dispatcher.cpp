#include "alert/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "alert/signature.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/url.h"

namespace mapwatch::alert {
namespace {

constexpr std::size_t kMostAtOnce = 16;  // then a look at what was told meanwhile
constexpr std::size_t kKeyDigits = 32;
constexpr std::size_t kMostShown = 200;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

}  // namespace

Dispatcher::Dispatcher(Receiver receiver, const Clock& clock, Transport& transport, OpenStore open_store,
                       std::uint32_t seed)
    : receiver_(std::move(receiver)),
      clock_(clock),
      transport_(transport),
      open_store_(std::move(open_store)),
      random_(seed),
      groups_(receiver_.timing) {
  change(receiver_);
}

void Dispatcher::change(const Receiver& receiver) {
  receiver_.url = receiver.url;
  receiver_.secret_file = receiver.secret_file;
  receiver_.ca_file = receiver.ca_file;
  receiver_.timing = receiver.timing;
  groups_.set_timing(receiver.timing);
  failures_ = 0;
  told_failing_ = false;
  next_try_ns_ = receiver.url.empty() ? kNever : 0;
}

void Dispatcher::tell(const Sighting& sighting) {
  if (!groups_.add(sighting, now())) {
    ++counts_.dropped;
  }
}

void Dispatcher::push(News news) {
  Notification made;
  made.body = to_body(news, receiver_.form);
  made.created_ns = clock_.realtime_ns();
  made.key = sha256_hex(fmt::format("{}\n{}\n{}\n{}", receiver_.name, made.created_ns, random_(), made.body))
                 .substr(0, kKeyDigits);
  enqueue(std::move(made));
}

void Dispatcher::enqueue(Notification notification) {
  counts_.waiting_bytes += notification.body.size();
  waiting_.push_back(std::move(notification));
  ++unsaved_;
  make_room();
}

void Dispatcher::make_room() {
  while (waiting_.size() > 1 && (counts_.waiting_bytes > receiver_.spool_bytes || waiting_.size() > kMostWaiting)) {
    pop();
    ++counts_.dropped;
    if (!std::exchange(told_dropped_, true)) {
      log::warn("{}: too much waits for it: the oldest notifications are given up, and counted", receiver_.name);
    }
  }
}

void Dispatcher::pop() {
  counts_.waiting_bytes -= waiting_.front().body.size();
  if (unsaved_ == waiting_.size()) {
    --unsaved_;  // it is on no disk
  } else {
    removed_.insert(waiting_.front().key);
  }
  waiting_.pop_front();
}

void Dispatcher::open_store() {
  auto opened = open_store_();
  auto state = opened ? opened->load() : Result<Store::State>(tl::unexpected(opened.error()));
  if (!state) {
    store_again_ns_ = clock_.monotonic_ns() + kStoreAgainNs;
    ++counts_.unkept;
    if (!std::exchange(told_unkept_, true)) {
      log::print_error(
          {state.error().kind,
           fmt::format("{}: what waits is kept in memory alone: {}", receiver_.name, state.error().message),
           state.error().hint});
    }
    return;
  }
  store_ = std::move(*opened);
  for (Groups::Kept& kept : state->alerts) {
    groups_.restore(std::move(kept), now());
  }
  // Older than what came since the start.
  std::deque<Notification> newer = std::exchange(waiting_, {});
  for (Notification& each : state->waiting) {
    counts_.waiting_bytes += each.body.size();
    waiting_.push_back(std::move(each));
  }
  unsaved_ = 0;
  make_room();
  for (Notification& each : newer) {
    counts_.waiting_bytes -= each.body.size();  // enqueue() adds it again
    enqueue(std::move(each));
  }
}

void Dispatcher::save() {
  changed_.merge(groups_.take_changed());
  const std::uint64_t now_ns = clock_.monotonic_ns();
  if (now_ns < store_again_ns_) {
    return;
  }
  if (!store_) {
    open_store();
  }
  if (!store_ || (changed_.empty() && removed_.empty() && unsaved_ == 0)) {
    return;
  }
  Store::Changes changes;
  for (const std::string& of : changed_) {
    changes.alerts.push_back({of, groups_.find(of)});
  }
  for (std::size_t i = waiting_.size() - unsaved_; i < waiting_.size(); ++i) {
    changes.added.push_back(&waiting_[i]);
  }
  changes.removed.assign(removed_.begin(), removed_.end());
  if (const auto done = store_->save(changes); !done) {
    store_again_ns_ = now_ns + kStoreAgainNs;
    ++counts_.unkept;
    if (!std::exchange(told_unkept_, true)) {
      log::warn("{}: what waits is kept in memory alone: {}", receiver_.name, done.error().message);
    }
    return;
  }
  changed_.clear();
  removed_.clear();
  unsaved_ = 0;
  if (std::exchange(told_unkept_, false)) {
    log::info("{}: what waits is on the disk again", receiver_.name);
  }
}

Result<Answer> Dispatcher::send(const Notification& notification) {
  const std::int64_t wall_ns = clock_.realtime_ns();
  const std::string body = TRY(with_end(notification.body, receiver_.form, wall_ns, receiver_.timing.resolve_ns));
  const std::string secret = receiver_.secret_file.empty() ? "" : TRY(read_secret(receiver_.secret_file));
  Request request;
  request.url = receiver_.url;
  request.ca_file = receiver_.ca_file;
  request.body = body;
  request.headers = signed_headers(notification.key, wall_ns / 1'000'000'000, body, secret);
  request.headers.insert(request.headers.begin(), {"Content-Type: application/json", "Expect:"});
  return transport_.post(request);
}

void Dispatcher::put_off(const Result<Answer>& answer) {
  ++counts_.failed;
  ++failures_;
  const double chance = static_cast<double>(random_() - random_.min()) / (random_.max() - random_.min() + 1.0);
  std::uint64_t delay_ns = receiver_.backoff.delay_ns(failures_, chance);
  if (answer) {
    delay_ns = std::max(delay_ns, parse_retry_after(answer->retry_after, clock_.realtime_ns()).value_or(0));
  }
  next_try_ns_ = clock_.monotonic_ns() + delay_ns;
  if (!std::exchange(told_failing_, true)) {
    const std::string why = answer ? fmt::format("it answers {} {}", answer->status, escape(answer->text, kMostShown))
                                   : escape(answer.error().message, kMostShown);
    log::warn("{} {}: {}; {} notifications wait, it is tried again until they are taken", receiver_.name,
              shown_url(receiver_.url), why, waiting_.size());
  }
}

bool Dispatcher::deliver() {
  for (std::size_t sent = 0; !waiting_.empty() && sent < kMostAtOnce; ++sent) {
    if (clock_.monotonic_ns() < next_try_ns_) {
      return false;
    }
    const auto answer = send(waiting_.front());
    // What cannot be read as a notification never will be.
    const bool spoiled = !answer && answer.error().kind == ErrorKind::kMalformed;
    const Verdict verdict = answer ? judge(answer->status) : spoiled ? Verdict::kRefused : Verdict::kRetry;
    if (verdict == Verdict::kRetry) {
      put_off(answer);
      return false;
    }
    if (verdict == Verdict::kDelivered) {
      ++counts_.delivered;
    } else if (counts_.refused++ == 0) {
      log::warn(
          "{} {}: a notification is refused and given up: {}", receiver_.name, shown_url(receiver_.url),
          answer ? fmt::format("{} {}", answer->status, escape(answer->text, kMostShown)) : answer.error().message);
    }
    failures_ = 0;
    pop();
    if (std::exchange(told_failing_, false)) {
      log::info("{} {}: takes notifications again, {} wait", receiver_.name, shown_url(receiver_.url), waiting_.size());
    }
    save();  // or it is sent again after a restart
  }
  return true;
}

std::uint64_t Dispatcher::step() {
  for (News& news : groups_.due(now())) {
    push(std::move(news));
  }
  save();
  const bool takes = deliver();
  counts_.waiting = waiting_.size();
  const std::uint64_t now_ns = clock_.monotonic_ns();
  std::uint64_t next = groups_.next_ns(now_ns);
  if (!waiting_.empty()) {
    next = std::min(next, takes ? now_ns : std::max(next_try_ns_, now_ns));
  }
  const bool unkept = !store_ || unsaved_ > 0 || !changed_.empty() || !removed_.empty();
  return unkept ? std::min(next, std::max(store_again_ns_, now_ns)) : next;
}

void Dispatcher::finish() {
  for (News& news : groups_.due(now(), true)) {
    push(std::move(news));
  }
  store_again_ns_ = 0;
  save();
  while (!waiting_.empty() && deliver()) {
  }
  save();
  counts_.waiting = waiting_.size();
}

}  // namespace mapwatch::alert
