// A modelled target under a planner: hits happen only while a site is armed, what they cost slows the target down,
// switching takes time. Times in ns of the model; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "govern/planner.h"

namespace mapwatch::govern::sim {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

struct Rate {
  SiteId site = 0;
  double per_s = 0;       ///< of the target when nothing slows it down
  double candidates = 0;  ///< part of the hits that is on maps of several goroutines
};

/// What a process does for a while.
struct Phase {
  double cpus = 0;       ///< used, without mapwatch
  double dwells = 0;     ///< part of the time that may be spent holding goroutines that is spent so
  double most_cpus = 1;  ///< at most, with what the probes cost: beyond it the process is slowed down
  std::vector<Rate> rates;
};

struct Load {
  std::vector<Phase> phases;
  /// The phase at a time and until when it lasts.
  struct Now {
    std::size_t phase = 0;
    std::uint64_t until_ns = UINT64_MAX;
  };
  std::function<Now(std::uint64_t)> at = [](std::uint64_t) { return Now{}; };
  std::uint64_t begins_ns = 0;             ///< the process exists from then
  std::uint64_t ends_ns = UINT64_MAX;      ///< until then
  std::uint64_t before_ns = 10 * kSecond;  ///< and has run so long before it is first sampled
  double before_cpus = 0;                  ///< on so many CPUs
};

/// Phases in turn, each `length_ns` long.
Load in_turn(std::vector<Phase> phases, std::uint64_t length_ns);

struct Host {
  std::uint64_t wake_ns = 1 * kMs;          ///< from an event to the tick, at most
  double late_share = 0.01;                 ///< of the ticks are late
  std::uint64_t late_ns = 10 * kMs;         ///< by so much at most
  std::uint64_t attach_call_ns = 10 * kMs;  ///< up to twice
  std::uint64_t attach_site_ns = 10'000;
  std::uint64_t restore_call_ns = 300'000;  ///< until the text is restored, up to twice
  std::uint64_t restore_site_ns = 3'000;
  std::uint64_t detach_call_ns = 30 * kMs;  ///< until the detaching call returns, up to twice
  std::size_t detachers = 16;               ///< detaching calls at once
};

/// What a race needs to be seen: both sides armed, one of them held while the other comes by.
struct Race {
  SiteId one = 0;
  SiteId other = 0;           ///< the same site, when the two goroutines race through one call
  double meetings_per_s = 0;  ///< how often that happens while both are armed
};

/// A race that is seen `meetings_per_s` times a second while both sites are armed.
struct Watched {
  Race race;
  std::vector<std::uint64_t> seen_ns;
  /// How long one waits from a random moment of [since, until] until it is seen next, on average. The time before the
  /// first and after the last sighting counts as it is.
  double mean_wait_ns(std::uint64_t since_ns, std::uint64_t until_ns) const;
};

struct Worst {
  double second = 0;  ///< cost of the dearest second by what is allowed for it; <= 1: kept
  double ten_seconds = 0;
  std::uint64_t second_ns = 0;  ///< when they began
  std::uint64_t ten_seconds_ns = 0;
};

class Simulation {
 public:
  Simulation(const Settings& settings, std::vector<mw_site_class> classes, std::vector<Load> loads, Host host = {});

  void run_until(std::uint64_t time_ns);
  /// The clock that the planner sees jumps by so much, once (a late sample, or a stale one).
  void jump(std::int64_t by_ns) { skew_ns_ += by_ns; }
  void signal(SiteId site, SignalKind kind) { signals_.push_back({site, kind}); }
  void watch(const Race& race) { races_.push_back({race, {}}); }
  /// The next attach calls fail.
  void refuse(std::uint32_t calls) { refuse_ = calls; }

  Planner& planner() { return planner_; }
  std::uint64_t now_ns() const { return now_ns_; }
  std::uint64_t ticks() const { return ticks_; }
  const std::vector<Watched>& races() const { return races_; }
  /// Of the time since `reset_shares`.
  double armed_share(SiteId site) const;
  void reset_shares();
  bool armed(SiteId site) const { return sites_[site].links > 0; }
  /// Over every second and every ten seconds of process `index`, at steps of a millisecond. `apart_ns` of cost is let
  /// pass in each.
  Worst worst(std::size_t index, double apart_ns = 0) const;
  double cost_ns(std::size_t index) const;
  double cpu_ns(std::size_t index) const;

 private:
  struct SiteNow {
    std::uint32_t links = 0;
    std::uint64_t since_ns = 0;
    std::uint64_t armed_ns = 0;
    double mean = 0;  ///< hits expected since the last sample
    double candidates = 0;
  };
  struct Process {
    Load load;
    MemberId id = 0;
    Load::Now phase;
    bool alive = false;
    bool sampled = false;
    double hits = 0;  ///< expected, since the last sample
    double hits_drawn = 0;
    double since_limit = 0;  ///< since the limits were last written
    double limit = kFirstHits;
    std::uint32_t epoch = 0;
    bool tripped = false;
    double cpu_ns = 0;        ///< since the last sample
    double held_ns = 0;       ///< likewise
    double dwell_share = 0;   ///< of wall time, as allowed
    double dwell_burst = -1;  ///< ns, as allowed; below 0: nothing was said yet
    double tokens = 0;        ///< ns that may be held now
    double armed_cost = 0;    ///< CPUs that its armed sites would cost unslowed
    double armed_rate = 0;    ///< their hits a second
    std::vector<float> cost_by_ms;
    std::vector<float> cpu_by_ms;
  };
  enum class Kind { kTick, kArmed, kRestored, kDetached, kExpired };
  struct Event {
    Kind kind = Kind::kTick;
    LinkId link = 0;
    std::uint64_t began_ns = 0;
  };
  struct LinkNow {
    std::vector<SiteId> sites;
    std::uint64_t for_ns = kForEver;
    bool armed = false;
    bool going = false;
    bool failed = false;
  };

  double chance() { return std::uniform_real_distribution<>(0, 1)(random_); }
  std::uint64_t up_to_twice(std::uint64_t ns) {
    return ns + static_cast<std::uint64_t>(chance() * static_cast<double>(ns));
  }
  void post(std::uint64_t time_ns, const Event& event) { events_.emplace(time_ns, event); }
  void wake(std::uint64_t time_ns);
  void advance(std::uint64_t time_ns);
  void spread(Process& process, std::uint64_t from_ns, std::uint64_t to_ns, double cost_ns, double cpu_ns);
  void charge_switch(const SwitchCost& cost, std::size_t sites);
  void set_armed(LinkNow& link, bool armed);
  void reckon(Process& process);
  void tick();
  void perform(const Action& action);
  void begin_detach(LinkId id, std::uint64_t time_ns);

  const Settings settings_;
  const Host host_;
  std::vector<mw_site_class> classes_;
  Planner planner_;
  std::mt19937_64 random_;
  std::vector<SiteNow> sites_;
  std::vector<Process> processes_;
  std::multimap<std::uint64_t, Event> events_;
  std::map<LinkId, LinkNow> links_;
  std::vector<LinkDone> done_;
  std::vector<SiteSignal> signals_;
  std::vector<Watched> races_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t next_tick_ns_ = 0;
  std::uint64_t attacher_free_ns_ = 0;
  std::vector<std::uint64_t> detachers_free_ns_;
  std::uint64_t shares_since_ns_ = 0;
  std::int64_t skew_ns_ = 100 * static_cast<std::int64_t>(kSecond);  ///< the host has been up for a while
  std::uint64_t ticks_ = 0;
  std::uint32_t refuse_ = 0;
};

}  // namespace mapwatch::govern::sim
