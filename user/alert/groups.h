// Which alerts there are and when they are told: together by group, not too often, and again when they are over. Pure:
// time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "alert/alert.h"
#include "alert/body.h"

namespace mapwatch::alert {

struct Moment {
  std::uint64_t ns = 0;      ///< CLOCK_MONOTONIC: all durations
  std::int64_t wall_ns = 0;  ///< CLOCK_REALTIME: only told
};

struct Timing {
  std::uint64_t wait_ns = 2'000'000'000;            ///< from the first news of a group until they are told
  std::uint64_t interval_ns = 60'000'000'000;       ///< at least, between two notifications of a group
  std::uint64_t repeat_ns = 4 * 3'600'000'000'000;  ///< a group that was seen since is told again after that long
  std::uint64_t resolve_ns = 900'000'000'000;       ///< an alert that was not seen for so long is over
  bool tell_resolved = true;                        ///< else what is over is forgotten
  std::uint32_t per_minute = 60;                    ///< notifications of all groups; more wait
  bool operator==(const Timing&) const = default;
};

class Groups {
 public:
  /// Open alerts at once: a host that shows more than that has other worries.
  static constexpr std::size_t kMostOpen = 4096;
  /// In one notification.
  static constexpr std::size_t kMostTold = 100;

  /// An alert as it is kept over a restart.
  struct Kept {
    Alert alert;
    bool told = false;  ///< that it fires
  };

  explicit Groups(Timing timing);
  /// For all that is due from now on.
  void set_timing(const Timing& timing) { timing_ = timing; }

  /// False: there is no room for one more; it is not among the alerts.
  bool add(const Sighting& sighting, Moment now);
  /// An open alert was seen again, without more to tell; an unknown one is passed over.
  void touch(const std::string& fingerprint, Moment now);
  /// One of an earlier run. Its quiet time begins now: nobody looked meanwhile. An open one is left as it is.
  void restore(Kept kept, Moment now);

  /// What is to be told now; it counts as told from here on. `all`: without waiting for its time.
  std::vector<News> due(Moment now, bool all = false);
  /// When due() may have something, CLOCK_MONOTONIC; UINT64_MAX: not without a sighting.
  std::uint64_t next_ns(std::uint64_t now_ns) const;

  /// Fingerprints of what is to be kept otherwise than before, since the last call.
  std::set<std::string> take_changed();
  /// nullopt: it is over.
  std::optional<Kept> find(const std::string& fingerprint) const;
  std::size_t open() const { return group_keys_.size(); }

 private:
  struct Entry {
    Alert alert;
    std::uint64_t seen_ns = 0;
    std::uint64_t told_ns = 0;
    bool told = false;  ///< that it fires
    bool news() const { return !told || alert.ends_ns != 0; }
  };
  struct Group {
    Labels labels;
    std::map<std::string, Entry> entries;         ///< by fingerprint
    std::optional<std::uint64_t> news_ns;         ///< since when there is something to tell
    std::optional<std::uint64_t> told_ns;         ///< of the last notification
    std::optional<std::uint64_t> repeat_from_ns;  ///< likewise, or its restoration
    bool seen_since() const;                      ///< a told alert of it was seen after it was told
  };

  Entry* find_entry(const std::string& fingerprint);
  Entry& insert(Labels labels, const std::string& fingerprint);
  void resolve(Group& group, Moment now);
  /// When the group is to be told by itself; UINT64_MAX: not.
  std::uint64_t due_ns(const Group& group) const;
  News take_news(Group& group, Moment now);
  void refill(std::uint64_t now_ns);

  Timing timing_;
  std::map<std::string, Group> groups_;                      ///< by key
  std::unordered_map<std::string, std::string> group_keys_;  ///< of each fingerprint
  std::set<std::string> changed_;
  double tokens_;
  std::uint64_t filled_ns_ = 0;
};

}  // namespace mapwatch::alert
