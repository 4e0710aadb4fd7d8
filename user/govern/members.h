// The processes that pay for one group of links: what each was charged, what it may still be charged, who decides.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "govern/ledger.h"
#include "govern/planner.h"

namespace mapwatch::govern {

/// How the budget is divided. What is left over covers surprises.
struct Shares {
  double always = 0.35;  ///< sites that are armed at all times
  double visits = 0.2;   ///< visits of hot sites, switching included
  double dwell = 0.3;    ///< held goroutines, at least; as a rule what the others leave
  double planned = 0.9;  ///< all of these together
};
constexpr Shares kShares;

/// What the group may be charged, as the member in the tightest place allows it.
struct Allowance {
  double earned_ns = 0;      ///< by the time and the CPU time since the last sample
  double rate_ns_per_s = 0;  ///< what it earns a second, as of late
  double always_share = 0;   ///< of its CPU time, by always-on sites: for good, so as of its busier times
  double left_ns = 0;        ///< before a second's or ten seconds' bound is reached
  double left_ten_ns = 0;    ///< before the ten seconds' bound is
  double surprise_ns = 0;    ///< what may come on top before anybody can react
  double steadiness = 1;     ///< of the CPU time: Ledger::steadiness()
  double strain = 0;         ///< charged so far, as a part of what is allowed (1: at the bound)
  double hits_ns = 0;        ///< cost of all traps since the last sample, those of nobody's account included
  double cpu_ns = 0;         ///< used by all members since the last sample
  double cpus = 0;           ///< that all members keep busy, over the last second
  double busiest_cpus = 0;   ///< the busiest member
  double peak_cpus = 0;      ///< all members, over the last minute
  double busiest_peak = 0;   ///< the busiest member, likewise
};

/// What the sites of the group cost since the last sample.
struct GroupCost {
  double hits_ns = 0;    ///< of the hits that were counted by site
  double hit_ns = 0;     ///< of one, on average
  double switch_ns = 0;  ///< for each CPU that a member keeps busy
};

class Members {
 public:
  struct Options {
    std::uint32_t budget_ppm = 0;
    std::uint32_t floor_ppm = 0;
    std::uint64_t reaction_ns = 0;
    bool bounded = true;  ///< kAuto; else nothing trips
  };
  explicit Members(const Options& options) : options_(options) {}

  /// Books a sample's figures, spread over [from, to].
  void book(std::span<const MemberSample> samples, const GroupCost& cost, std::uint64_t from_ns, std::uint64_t to_ns);

  /// When there are no members, what an idle process may be charged.
  const Allowance& allowance() const { return allowance_; }
  bool tripped() const { return tripped_; }
  std::size_t size() const { return members_.size(); }
  std::uint64_t trips() const { return trips_; }
  /// Cost as parts per million of CPU time, over ten seconds and over one, of the member nearest to its bound.
  double cost_ppm() const { return cost_ppm_; }
  double second_ppm() const { return second_ppm_; }
  /// That member: what it pays bounds what all of them get. 0: there is none.
  MemberId nearest() const { return nearest_; }

  /// What one member was charged as parts per million of its CPU time: over ten seconds. 0 when there is no such one.
  double cost_ppm(MemberId id) const;

  /// Trips are forgiven: those that tripped get limits again.
  void forgive();
  /// Limits of the members that were charged since the last ones: `most_ns` is what the hits of the group may cost
  /// until the next sample, `hit_ns` what one costs. `kept` of what a member may be charged is not for dwells.
  std::vector<MemberLimits> limits(double most_ns, double hit_ns, double kept);

 private:
  struct Member {
    MemberId id = 0;
    Ledger ledger;
    double hits = 0;   ///< of the last seconds
    double share = 1;  ///< of the group's
    double left_ns = 0;
    double strain = 0;  ///< as Allowance::strain
    double surprise_ns = 0;
    double rate = 0;        ///< what it may be charged, ns/s
    double other_rate = 0;  ///< what it was charged of late, dwells apart, ns/s
    double cpus = 0;        ///< over the last second
    double steadiness = 0;
    double by_floor = 0;   ///< what the floor is of all that it may be charged, 1 at most
    double peak_cpus = 0;  ///< over the last minute
    double budget = 0;     ///< share of its CPU time
    std::uint32_t epoch = 0;
    std::uint32_t dwell_ppm = 0;  ///< as last issued
    bool tripped = false;
    bool fresh = true;
    bool stirred = false;  ///< its limits are to be written anew
    bool seen = false;
  };
  Member& find(const MemberSample& sample, std::uint64_t now_ns);
  void settle(Member& member, const MemberSample& sample, double cpu_ns, double elapsed_ns);
  void sum_up(double elapsed_ns);

  Options options_;
  std::vector<Member> members_;  // by id
  Allowance allowance_;
  bool tripped_ = false;
  std::uint64_t trips_ = 0;
  double hits_ = 0;  ///< of all members, as each one's
  double cost_ppm_ = 0;
  double second_ppm_ = 0;
  MemberId nearest_ = 0;
};

}  // namespace mapwatch::govern
