#include "govern/sites.h"

#include <algorithm>
#include <cmath>

namespace mapwatch::govern {

namespace {

/// Of a visited site: how much the last visit counts, when the group worked for kTellingCpuNs meanwhile.
constexpr double kVisitWeight = 0.3;
constexpr double kTellingCpuNs = 1e6;
/// The coolest tier: up to 10 ppm of the CPU time.
constexpr double kCoolest = 1e-5;
/// Fewer hits than this do not tell that a site's maps are one goroutine's.
constexpr std::uint32_t kTellingHits = 1024;
constexpr std::uint32_t kManyHits = 1u << 20;
/// How often a site works is as of about so long.
constexpr double kPaceNs = 3e9;
constexpr std::uint64_t kPaceTickNs = 10'000'000;

}  // namespace

Sites::Sites(std::span<const mw_site_class> classes, const CostModel& costs)
    : costs_(costs), sites_(classes.size()), paces_(classes.size()) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    sites_[i].site_class = static_cast<std::uint8_t>(classes[i]);
  }
}

double Sites::attention(const Site& site, std::uint64_t now_ns) const {
  if (now_ns < site.near_ns) {
    return 1.0 / 16;
  }
  if (site.candidates > 0 && site.candidates * std::uint64_t{1000} >= site.seen) {
    return 1.0 / 4;
  }
  return site.seen >= kTellingHits && site.candidates == 0 ? 4 : 1;
}

void Sites::pass(double cpu_ns, double memory_ns) {
  memory_s_ = memory_ns / 1e9;
  age_ += cpu_ns / memory_ns;
  always_share_ *= std::exp(-cpu_ns / memory_ns);
}

void Sites::fade(Site& site) {
  site.hits_per_cpu_s = static_cast<float>(static_cast<double>(site.hits_per_cpu_s) * std::exp(site.age - age_));
  site.age = age_;
}

void Sites::follow(Site& site, std::uint64_t hits) {
  fade(site);
  const double more = static_cast<double>(hits) / memory_s_;
  site.hits_per_cpu_s += static_cast<float>(more);
  always_share_ += more * hit_ns(site) / 1e9;
}

double Sites::faded(const Pace& pace, std::uint32_t at) {
  return static_cast<double>(pace.hits) * std::exp(-static_cast<double>((at - pace.at) * kPaceTickNs) / kPaceNs);
}

void Sites::pace(SiteId id, std::uint64_t hits, std::uint64_t now_ns, std::uint64_t elapsed_ns) {
  Pace& pace = paces_[id];
  const auto at = static_cast<std::uint32_t>(now_ns / kPaceTickNs);
  const double over = std::max(1.0, static_cast<double>(elapsed_ns)) / kPaceNs;
  pace.hits = static_cast<float>(faded(pace, at) + static_cast<double>(hits) * -std::expm1(-over) / over);
  pace.at = at;
}

std::optional<double> Sites::paced_per_s(SiteId id, std::uint64_t now_ns, std::uint64_t armed_ns) const {
  const Pace& pace = paces_[id];
  if (sites_[id].place != Place::kAlways) {
    return pace.per_s < 0 ? std::nullopt : std::optional(static_cast<double>(pace.per_s));
  }
  const double known = -std::expm1(-static_cast<double>(armed_ns) / kPaceNs);
  const double hits = faded(pace, static_cast<std::uint32_t>(now_ns / kPaceTickNs));
  return known > 0 ? std::optional(hits / (known * kPaceNs) * 1e9) : std::nullopt;
}

void Sites::learn(Site& site, const SiteHits& hits) {
  if (site.seen > kManyHits) {
    site.seen /= 2;
    site.candidates /= 2;
  }
  site.seen += static_cast<std::uint32_t>(std::min<std::uint64_t>(hits.hits, kManyHits));
  site.candidates += static_cast<std::uint32_t>(std::min<std::uint64_t>(hits.candidates, kManyHits));
}

void Sites::visited(SiteId id, double cpu_ns, std::uint64_t armed_ns) {
  Site& site = sites_[id];
  if (armed_ns > 0) {
    float& per_s = paces_[id].per_s;
    const double found = site.hits / static_cast<double>(armed_ns) * 1e9;
    const double before = static_cast<double>(per_s);
    const double counts = std::max(kVisitWeight, -std::expm1(-static_cast<double>(armed_ns) / kPaceNs));
    per_s = static_cast<float>(before < 0 ? found : before + counts * (found - before));
  }
  const double weight = site.known ? kVisitWeight * std::min(1.0, cpu_ns / kTellingCpuNs) : 1;
  if (cpu_ns > 0 && (site.known || cpu_ns >= kTellingCpuNs)) {
    const double found = site.hits / cpu_ns * 1e9;
    const double before = static_cast<double>(site.hits_per_cpu_s);
    site.hits_per_cpu_s = static_cast<float>(before + weight * (found - before));
    site.known = true;
  }
  site.hits = 0;
}

void Sites::set_place(SiteId id, Place place) {
  Site& site = sites_[id];
  if (site.place == place) {
    return;
  }
  if (site.place == Place::kAlways) {
    --always_;
    fade(site);
    always_share_ = std::max(0.0, always_share_ - share(site));
  } else if (site.place == Place::kVisited) {
    visited_.erase(std::find(visited_.begin(), visited_.end(), id));
  }
  site.place = place;
  if (place == Place::kAlways) {
    ++always_;
    site.age = age_;
    always_share_ += share(site);
  } else if (place == Place::kVisited) {
    visited_.push_back(id);
  }
}

void Sites::sort_into_tiers(std::uint64_t now_ns) {
  tiers_ = {};
  for (const SiteId id : visited_) {
    Site& site = sites_[id];
    const double above = std::log2(std::max(1.0, heat(site, now_ns) / kCoolest)) / 2;
    site.tier = static_cast<std::uint8_t>(std::min<double>(above, kTiers - 1));
    tiers_[site.tier].sites += 1;
    tiers_[site.tier].share += share(site);
  }
}

}  // namespace mapwatch::govern
