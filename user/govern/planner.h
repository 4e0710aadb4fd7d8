// The governor: what was counted goes in, what is to be armed comes out. Pure: no clock, no I/O, no BPF. Time comes
// with the samples, randomness from a seed. One planner for one group of links: all processes that pay for the same
// sites (one process, or with inode-wide links every process of a file; the one that pays most decides).
// docs/governor.md
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "govern/cost.h"
#include "mapwatch/abi.h"

namespace mapwatch::govern {

/// Place in the list of sites that the planner was made with: 0 to n-1.
using SiteId = std::uint32_t;
/// One uprobe_multi link. The planner gives the numbers; one is used again after a million others at the earliest.
using LinkId = std::uint32_t;
/// A process that pays: its tgid.
using MemberId = std::uint32_t;

constexpr std::uint64_t kForEver = UINT64_MAX;

/// --sample. kFull and kShare do what was asked for, whatever it costs; kAuto keeps the budget.
enum class Sampling {
  kAuto,
  kFull,   ///< every site armed at all times
  kShare,  ///< every site armed 1/one_in of the time, all at once, in windows at random times
};

struct Settings {
  Sampling sampling = Sampling::kAuto;
  std::uint32_t one_in = 1;
  std::uint32_t budget_ppm = 10'000;   ///< of each member's CPU time
  std::uint32_t floor_ppm = 1'000;     ///< of one CPU: what a member may be charged even when it does nothing
  std::uint32_t sites_per_link = 128;  ///< text of so many is restored within half a millisecond
  /// From the moment when a process uses up its hits to the moment when the text of a small link is restored.
  std::uint64_t reaction_ns = 2'000'000;
  std::uint64_t seed = 0;
  CostModel costs;
};

/// What was counted at one site since the last sample.
struct SiteHits {
  SiteId site = 0;
  std::uint64_t hits = 0;
  std::uint64_t candidates = 0;  ///< of these, on maps that two goroutines use, one of them writing
};

enum class SignalKind {
  kNearMiss,  ///< two goroutines came to one map shortly one after the other, by this site and another
  kOverlap,   ///< half of a proven overlap
};
struct SiteSignal {
  SiteId site = 0;
  SignalKind kind = SignalKind::kNearMiss;
};

/// One process, since the last sample. At its first sample: over the `cpu_over_ns` before it.
struct MemberSample {
  MemberId member = 0;
  std::uint64_t cpu_ns = 0;       ///< CPU time used, all threads, what the probes cost included
  std::uint64_t cpu_over_ns = 0;  ///< first sample only: what time cpu_ns covers (0: just started)
  std::uint64_t held_ns = 0;      ///< dwells and holds, as measured by the kernel side
  std::uint64_t hits = 0;         ///< traps that it paid for, those beyond its limit included; 0: as the sites' hits
  std::uint32_t cpus = 1;         ///< how many of its threads can run at once (affinity, cpuset, quota)
  bool tripped = false;           ///< it used up the hits that the limits of `epoch` allow (MW_EVENT_OVER)
  std::uint32_t epoch = 0;
  std::uint32_t budget_ppm = 0;  ///< of its own; 0: Settings::budget_ppm
};

/// How an action that was asked for went. Report it with the next sample, or by a tick at once when it is a detach.
struct LinkDone {
  LinkId link = 0;
  bool attached = false;  ///< true: it stands now. false: detached (also by its own end, for_ns), or not attachable
  bool failed = false;    ///< the kernel refused
  std::uint64_t began_ns = 0;  ///< of the call
  std::uint64_t ended_ns = 0;
};

struct Sample {
  std::uint64_t now_ns = 0;               ///< CLOCK_MONOTONIC. One that is not after the last is taken as the last
  std::span<const SiteHits> hits;         ///< sites with hits only, each once
  std::span<const SiteSignal> signals;    ///< in any order
  std::span<const MemberSample> members;  ///< all that there are; one that is missing is gone
  std::span<const LinkDone> done;
};

enum class ActionKind {
  kDetach,
  kAttach,  ///< all `sites` by one link
  kKeep,    ///< a standing link gets another for_ns; nothing is patched
};
struct Action {
  ActionKind kind = ActionKind::kDetach;
  LinkId link = 0;
  std::vector<SiteId> sites;
  /// The link must be detached so long after it stands (kKeep: after this tick), whether or not the planner is ticked
  /// in time. kForEver: it stands until told.
  std::uint64_t for_ns = kForEver;
};

/// For the policy of a process that was not in a sample yet: mw_policy::hit_limit. Tick as soon as there is one.
constexpr std::uint64_t kFirstHits = 1000;

/// To be written to a member's policy. Until then the last one holds; the first one comes with a member's first sample.
struct MemberLimits {
  MemberId member = 0;
  std::uint32_t epoch = 0;            ///< another one each time: mw_policy::epoch
  std::uint64_t hits = UINT64_MAX;    ///< that are looked at from now on; beyond, it trips. UINT64_MAX: no limit
  std::uint32_t dwell_share_ppm = 0;  ///< mw_policy::share_ppm
  std::uint64_t dwell_burst_ns = 0;   ///< mw_policy::burst_ns
};

struct Plan {
  std::vector<Action> actions;       ///< in this order: detaches first, the hottest first
  std::vector<MemberLimits> limits;  ///< of the members whose limits change
  bool partial = true;               ///< some sites are not armed, now or at times (MW_POLICY_PARTIAL)
  std::uint64_t next_ns = 0;         ///< tick then at the latest; at once when a member trips or an overlap is seen
};

/// Why a link stands.
enum class Purpose {
  kAlways,  ///< cool sites, for ever
  kTrial,   ///< new or returning sites, for a moment, to see how hot they are
  kWindow,  ///< hot sites, visited
};
struct Link {
  LinkId link = 0;
  Purpose purpose = Purpose::kAlways;
  std::vector<SiteId> sites;
  std::uint64_t since_ns = 0;
  std::uint64_t until_ns = kForEver;
};

/// How a site stands under the present plan.
struct SiteState {
  enum class Place : std::uint8_t { kAlways, kVisited, kWaiting, kRefused };
  Place place = Place::kWaiting;  ///< kWaiting: its first trial is to come; kRefused: the kernel would not attach it
  bool armed = false;             ///< now
  double hits_per_s = 0;          ///< while armed
  double hits_per_cpu_s = 0;      ///< the same by a second of the group's CPU time
  double armed_share = 0;         ///< of the time to come, as planned
  double measured_share = 0;      ///< of its time so far
  double windows_per_s = 0;       ///< kVisited, and at 1/N: how often it is visited
  std::uint64_t window_ns = 0;    ///< and for how long
  double cost_ppm = 0;            ///< of the group's CPU time
};

/// When a site is armed, as planned.
struct Visits {
  double armed_share = 1;    ///< of the time
  double windows_per_s = 0;  ///< 0: always, or all the time a little
  double window_ns = 0;
};

/// For people, top and the summary.
struct Status {
  std::string mode;  ///< "full", "auto", "auto 1/200" (one operation in 200 is seen), "1/8", "off: over budget"
  std::uint32_t sites = 0;
  std::uint32_t sites_always = 0;
  std::uint32_t sites_visited = 0;
  std::uint32_t sites_waiting = 0;
  double armed_share = 0;      ///< of the sites, each by its share of the time to come
  double seen_share = 0;       ///< of the operations, by the measured rates
  double cost_ppm = 0;         ///< of CPU time over the last 10 s, of the member that pays most
  double cost_peak_ppm = 0;    ///< the same of the last second
  MemberId decides = 0;        ///< that member: the one nearest to its bound. 0: none
  std::uint64_t switches = 0;  ///< attaches and detaches so far
  std::uint64_t trips = 0;
};

class Planner {
 public:
  /// `classes`: of each site the class of the instruction that it sits on.
  Planner(const Settings& settings, std::span<const mw_site_class> classes);
  Planner(Planner&&) noexcept;
  Planner& operator=(Planner&&) noexcept;
  ~Planner();

  /// Heat that is known from elsewhere (function probes see their callers): hits of sites that are not armed yet, while
  /// the group used `cpu_ns`. What is hot is then visited from the start, and never armed to find that out.
  void expect(std::span<const SiteHits> hits, std::uint64_t cpu_ns);
  /// What the members were charged goes on: this planner takes the place of `before` (sites in place of functions).
  void inherit(const Planner& before);

  /// Time and work are those of the sites that have hits, of the members and of the actions.
  Plan tick(const Sample& sample);

  std::vector<Link> links() const;
  SiteState site(SiteId site) const;
  /// When it is armed, as such a race meets it that is seen `per_s` times a second while it is.
  Visits visits(SiteId site, double per_s) const;
  Status status() const;
  /// What this member was charged over the last ten seconds, as parts per million of its CPU time.
  double cost_ppm(MemberId member) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mapwatch::govern
