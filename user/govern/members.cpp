#include "govern/members.h"

#include <algorithm>
#include <cmath>

namespace mapwatch::govern {

namespace {

constexpr double kSecondNs = 1e9;
/// A trip below this would be for nothing: a millisecond of one thread.
constexpr double kLeastLimitNs = 1e6;
/// Shares of the group's hits are of about the last so many ns.
constexpr double kShareNs = 5e9;
/// And what is charged, for the part that is left to dwells.
constexpr double kRateNs = 3e9;
/// A member that has less of the hits than this does not decide what sites may cost.
constexpr double kLeastShare = 0.01;
/// Switching costs an idle process something, too.
constexpr double kLeastCpus = 0.05;
/// How busy a group can be is remembered for so long.
constexpr double kPeakNs = 60e9;
/// What may be held at once: of all that is left to charge, and at least so much (two of the longest dwells).
constexpr double kDwellBurst = 0.5;
constexpr double kLeastDwellBurstNs = 0.4e6;
/// More would show in the latencies of a second.
constexpr double kMostDwellBurstNs = 2.5e6;
/// Both are so many times as much where the floor is what is left: it does not shrink when the process works less.
constexpr double kFloorDwellBurst = 1.4;
/// A process that works by fits is held less: what it may be charged is told afterwards only.
constexpr double kUnsteady = 0.25;
/// Of their least share: where it works by fits, and at all times. It goes down to that where what was charged comes
/// near to the bound.
constexpr double kUnsteadyDwell = 0.3;
constexpr double kLeastDwell = 0.2;
constexpr double kFewerDwells = 0.8;
constexpr double kNoDwells = 0.93;

}  // namespace

Members::Member& Members::find(const MemberSample& sample, std::uint64_t now_ns) {
  const auto at = std::lower_bound(members_.begin(), members_.end(), sample.member,
                                   [](const Member& member, MemberId id) { return member.id < id; });
  if (at != members_.end() && at->id == sample.member) {
    return *at;
  }
  Member member;
  member.id = sample.member;
  member.epoch = sample.epoch;
  const std::uint64_t before = std::min(sample.cpu_over_ns, now_ns);
  if (before > 0) {
    const double part = static_cast<double>(before) / static_cast<double>(sample.cpu_over_ns);
    member.ledger.add(now_ns - before, now_ns, 0, static_cast<double>(sample.cpu_ns) * part);
  }
  return *members_.insert(at, member);
}

void Members::settle(Member& member, const MemberSample& sample, double cpu_ns, double elapsed_ns) {
  const double budget = member.budget = (sample.budget_ppm > 0 ? sample.budget_ppm : options_.budget_ppm) / 1e6;
  const double floor = options_.floor_ppm / 1e6;
  const Ledger::Sums second = member.ledger.second();
  const Ledger::Sums ten = member.ledger.ten_seconds();
  const double allowed_second = 5 * std::max(budget * second.cpu_ns, floor * kSecondNs);
  const double allowed_ten = std::max(budget * ten.cpu_ns, 10 * floor * kSecondNs);
  member.cpus = second.cpu_ns / kSecondNs;
  // What the floor allows flows steadily, whatever the process does.
  member.by_floor = ten.cpu_ns > 0 ? std::min(1.0, 10 * floor * kSecondNs / (budget * ten.cpu_ns + 1)) : 1;
  member.steadiness = std::max(member.ledger.steadiness(), member.by_floor * member.by_floor);
  member.peak_cpus = std::max(member.cpus, member.peak_cpus * std::exp(-elapsed_ns / kPeakNs));
  member.rate = std::max(budget * std::min(second.cpu_ns, ten.cpu_ns / 10), floor * kSecondNs);
  member.left_ns = std::min(allowed_second - second.cost_ns, allowed_ten - ten.cost_ns);
  const double threads =
      std::clamp(1.5 * member.ledger.peak_cpus(), 1.0, std::max(1.0, static_cast<double>(sample.cpus)));
  member.surprise_ns = threads * static_cast<double>(options_.reaction_ns);

  const double strain = std::max(second.cost_ns / allowed_second, ten.cost_ns / allowed_ten);
  if (strain >= allowance_.strain) {
    allowance_.strain = strain;
    nearest_ = member.id;
    cost_ppm_ = ten.cpu_ns > 0 ? ten.cost_ns / ten.cpu_ns * 1e6 : 0;
    second_ppm_ = second.cpu_ns > 0 ? second.cost_ns / second.cpu_ns * 1e6 : 0;
  }
  member.strain = strain;
  allowance_.cpu_ns += cpu_ns;
  allowance_.cpus += member.cpus;
  allowance_.busiest_cpus = std::max(allowance_.busiest_cpus, member.cpus);
  allowance_.left_ns = std::min(allowance_.left_ns, member.left_ns);
  allowance_.left_ten_ns = std::min(allowance_.left_ten_ns, allowed_ten - ten.cost_ns);
  allowance_.surprise_ns = std::max(allowance_.surprise_ns, member.surprise_ns);
  if (member.share >= kLeastShare) {
    allowance_.steadiness = std::min(allowance_.steadiness, member.steadiness);
    const double earned = std::max(budget * cpu_ns, floor * elapsed_ns);
    allowance_.earned_ns = std::min(allowance_.earned_ns, earned / member.share);
    allowance_.rate_ns_per_s = std::min(allowance_.rate_ns_per_s, member.rate / member.share);
  }
}

void Members::sum_up(double elapsed_ns) {
  const double budget = options_.budget_ppm / 1e6;
  const double floor = options_.floor_ppm / 1e6;
  if (allowance_.earned_ns == HUGE_VAL) {  // nobody is hit
    allowance_.earned_ns = floor * elapsed_ns;
    allowance_.rate_ns_per_s = floor * kSecondNs;
  }
  if (members_.empty()) {
    allowance_.left_ns = 5 * floor * kSecondNs;
    allowance_.left_ten_ns = 10 * floor * kSecondNs;
  }
  double most = HUGE_VAL;  // CPUs' worth of cost, by all members
  for (const Member& member : members_) {
    allowance_.peak_cpus += member.peak_cpus;
    allowance_.busiest_peak = std::max(allowance_.busiest_peak, member.peak_cpus);
    if (member.share >= kLeastShare) {
      most = std::min(most, std::max(member.budget * member.peak_cpus, floor) / member.share);
    }
  }
  allowance_.always_share = kShares.always * (most == HUGE_VAL ? budget : most / std::max(allowance_.peak_cpus, 1e-3));
}

void Members::book(std::span<const MemberSample> samples, const GroupCost& cost, std::uint64_t from_ns,
                   std::uint64_t to_ns) {
  std::uint64_t hits = 0;
  for (const MemberSample& sample : samples) {
    hits += sample.hits;
  }
  const double elapsed = static_cast<double>(to_ns - from_ns);
  const double fade = std::exp(-elapsed / kShareNs);
  hits_ = hits_ * fade + static_cast<double>(hits);
  allowance_ = {};
  allowance_.earned_ns = allowance_.rate_ns_per_s = HUGE_VAL;
  allowance_.left_ns = allowance_.left_ten_ns = HUGE_VAL;
  tripped_ = false;
  nearest_ = 0;
  for (const MemberSample& sample : samples) {
    Member& member = find(sample, to_ns);
    member.hits = member.hits * fade + static_cast<double>(sample.hits);
    if (samples.size() == 1 || hits_ > 0) {
      member.share = samples.size() == 1 ? 1 : std::min(1.0, member.hits / hits_);
    }
    const bool before = member.fresh && sample.cpu_over_ns > 0;  // its figure is of the time before
    const double cpu_ns = before ? 0 : static_cast<double>(sample.cpu_ns);
    const double cpus = std::max({kLeastCpus, cpu_ns / std::max(elapsed, 1e6), member.cpus});
    const double hits_ns = hits > 0 ? static_cast<double>(sample.hits) * cost.hit_ns : member.share * cost.hits_ns;
    allowance_.hits_ns += hits_ns;
    const double other_ns = hits_ns + cost.switch_ns * cpus;
    member.ledger.add(from_ns, to_ns, other_ns + static_cast<double>(sample.held_ns), cpu_ns);
    member.other_rate = member.other_rate * std::exp(-elapsed / kRateNs) + other_ns / kRateNs * kSecondNs;
    member.seen = true;
    member.stirred = member.stirred || member.fresh || other_ns > 0;
    if (sample.tripped && sample.epoch == member.epoch) {
      trips_ += member.tripped ? 0 : 1;
      member.tripped = true;
    }
    tripped_ = tripped_ || member.tripped;
    settle(member, sample, cpu_ns, elapsed);
  }
  std::erase_if(members_, [](const Member& member) { return !member.seen; });
  for (Member& member : members_) {
    member.seen = false;
  }
  sum_up(elapsed);
}

double Members::cost_ppm(MemberId id) const {
  const auto at = std::ranges::lower_bound(members_, id, {}, &Member::id);
  if (at == members_.end() || at->id != id) {
    return 0;
  }
  const Ledger::Sums ten = at->ledger.ten_seconds();
  return ten.cpu_ns > 0 ? ten.cost_ns / ten.cpu_ns * 1e6 : 0;
}

void Members::forgive() {
  for (Member& member : members_) {
    if (member.tripped) {
      member.tripped = false;
      member.stirred = true;
    }
  }
  tripped_ = false;
}

std::vector<MemberLimits> Members::limits(double most_ns, double hit_ns, double kept) {
  std::vector<MemberLimits> out;
  out.reserve(members_.size());
  for (Member& member : members_) {
    if (member.tripped || !member.stirred) {
      continue;
    }
    const double steady =
        std::max(5.0 * options_.floor_ppm / 1e6 * kSecondNs, member.ledger.steadiness() * member.left_ns);
    const double more = member.by_floor < 1 ? 1 : kFloorDwellBurst;
    const double burst =
        std::clamp(more * kDwellBurst * std::min(member.left_ns, steady), kLeastDwellBurstNs, more * kMostDwellBurstNs);
    const double limit = std::max(kLeastLimitNs, std::min(most_ns, member.left_ns - member.surprise_ns - burst));
    const double planned = kShares.planned - kept - kUnsteady * (1 - member.steadiness);
    const double left = options_.bounded ? member.rate * planned - member.other_rate : member.rate;
    const double calm = std::clamp((kNoDwells - member.strain) / (kNoDwells - kFewerDwells), 0.0, 1.0);
    const double least =
        kShares.dwell * std::max(kLeastDwell, calm * (kUnsteadyDwell + (1 - kUnsteadyDwell) * member.steadiness));
    const double dwell = std::max(left * calm, member.rate * least);
    const double dwell_ppm = std::min(dwell / kSecondNs * 1e6, 1e6);
    const double last = member.dwell_ppm;
    if (member.fresh || std::abs(dwell_ppm - last) > last / 4) {
      member.dwell_ppm = static_cast<std::uint32_t>(dwell_ppm);
    }
    member.fresh = false;
    member.stirred = false;
    MemberLimits limits;
    limits.member = member.id;
    limits.epoch = ++member.epoch;
    limits.hits = options_.bounded ? whole_ns(limit / hit_ns) : UINT64_MAX;
    limits.dwell_share_ppm = member.dwell_ppm;
    limits.dwell_burst_ns = whole_ns(burst);
    out.push_back(limits);
  }
  return out;
}

}  // namespace mapwatch::govern
