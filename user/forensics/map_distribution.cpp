#include "forensics/map_distribution.h"

#include <algorithm>
#include <utility>

namespace mapwatch::forensics {
namespace {

void count(std::vector<std::uint64_t>& bins, std::uint64_t value) {
  const std::size_t bin = std::min<std::uint64_t>(value, MapDistribution::kHistogram - 1);
  if (bins.size() <= bin) {
    bins.resize(bin + 1);
  }
  ++bins[bin];
}

double mean(const std::vector<std::uint64_t>& bins, double first) {
  double sum = 0;
  double number = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    sum += (first + static_cast<double>(i)) * static_cast<double>(bins[i]);
    number += static_cast<double>(bins[i]);
  }
  return number == 0 ? 0 : sum / number;
}

}  // namespace

double MapDistribution::mean_entries() const { return mean(entries, 0); }
double MapDistribution::mean_probes() const { return mean(probes, 1); }

DistributionBuilder::DistributionBuilder(std::uint64_t total) : total_(std::max<std::uint64_t>(1, total)) {
  const auto cells = static_cast<std::size_t>(std::min<std::uint64_t>(total_, MapDistribution::kCells));
  live_.resize(cells);
  slots_.resize(cells);
}

void DistributionBuilder::block(std::uint64_t position, std::uint64_t live, std::uint64_t slots) {
  ++result_.blocks;
  count(result_.entries, live);
  const double share = std::min(1.0, static_cast<double>(position) / static_cast<double>(total_));
  const auto cell = std::min(live_.size() - 1, static_cast<std::size_t>(share * static_cast<double>(live_.size())));
  live_[cell] += static_cast<double>(live);
  slots_[cell] += static_cast<double>(slots);
}

void DistributionBuilder::overflow(std::uint64_t depth) { count(result_.overflow, depth); }

void DistributionBuilder::probe(std::uint64_t opened) { count(result_.probes, opened == 0 ? 0 : opened - 1); }

void DistributionBuilder::slots(std::uint64_t tombstones, std::uint64_t free) {
  result_.tombstones += tombstones;
  result_.free_slots += free;
}

MapDistribution DistributionBuilder::take() {
  for (std::size_t i = 0; i < live_.size(); ++i) {
    result_.heat.push_back(slots_[i] == 0 ? 0 : live_[i] / slots_[i]);
  }
  return std::move(result_);
}

}  // namespace mapwatch::forensics
