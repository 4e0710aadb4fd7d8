// The way of alerts to one receiver: grouped, put on the disk, sent until they are taken. One thread's; whatever takes
// time or chance is an argument.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "alert/body.h"
#include "alert/groups.h"
#include "alert/retry.h"
#include "alert/store.h"
#include "alert/transport.h"
#include "base/clock.h"

namespace mapwatch::alert {

struct Receiver {
  std::string name;  ///< "webhook", "alertmanager"
  Form form = Form::kWebhook;
  std::string url;          ///< empty: nothing is sent, and what waits is kept
  std::string secret_file;  ///< empty: unsigned
  std::string ca_file;      ///< certificates to trust instead of the system's; empty: the system's
  Timing timing;
  Backoff backoff;
  std::uint64_t spool_bytes = 8u << 20;  ///< bodies that wait, in all; more push out the oldest
  bool operator==(const Receiver&) const = default;
};

class Dispatcher {
 public:
  using OpenStore = std::function<Result<Store>()>;

  /// `open_store` is called until it succeeds; meanwhile what waits is kept in memory alone. `clock` and `transport`
  /// must outlive it.
  Dispatcher(Receiver receiver, const Clock& clock, Transport& transport, OpenStore open_store, std::uint32_t seed);

  /// Another address, secret or timing of the same receiver; its name, form and room stay. What waits goes there, and
  /// is tried at once.
  void change(const Receiver& receiver);
  void tell(const Sighting& sighting);
  void touch(const std::string& fingerprint) { groups_.touch(fingerprint, now()); }
  /// Does what is due. Returns when it is to be called again, CLOCK_MONOTONIC, if nothing is told before.
  std::uint64_t step();
  /// At the end: what is to be told is on its way without waiting for its time, is kept, and is tried once.
  void finish();

  struct Counts {
    std::uint64_t delivered = 0;
    std::uint64_t failed = 0;   ///< tries without success
    std::uint64_t refused = 0;  ///< notifications that the receiver does not want
    std::uint64_t dropped = 0;  ///< notifications for want of room, and sightings
    std::uint64_t unkept = 0;   ///< times that the disk did not take what waits
    std::uint64_t waiting = 0;
    std::uint64_t waiting_bytes = 0;
  };
  const Counts& counts() const { return counts_; }
  /// Alerts that are not over.
  std::size_t open() const { return groups_.open(); }

  static constexpr std::size_t kMostWaiting = 10'000;
  static constexpr std::uint64_t kStoreAgainNs = 30'000'000'000;

 private:
  Moment now() const { return {clock_.monotonic_ns(), clock_.realtime_ns()}; }
  void push(News news);
  void enqueue(Notification notification);
  void make_room();
  void open_store();
  void save();
  /// Sends what it may; false: the receiver takes nothing now.
  bool deliver();
  Result<Answer> send(const Notification& notification);
  void pop();
  void put_off(const Result<Answer>& answer);

  Receiver receiver_;
  const Clock& clock_;
  Transport& transport_;
  OpenStore open_store_;
  std::minstd_rand random_;
  Groups groups_;
  std::deque<Notification> waiting_;
  std::optional<Store> store_;
  std::uint64_t store_again_ns_ = 0;
  // Since the last save that succeeded.
  std::set<std::string> changed_;  ///< fingerprints
  std::size_t unsaved_ = 0;        ///< of waiting_, the last ones
  std::set<std::string> removed_;  ///< keys
  unsigned failures_ = 0;          ///< in a row
  std::uint64_t next_try_ns_ = 0;
  bool told_failing_ = false;
  bool told_unkept_ = false;
  bool told_dropped_ = false;
  Counts counts_;
};

}  // namespace mapwatch::alert
