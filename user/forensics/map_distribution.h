// How evenly a map's entries lie: counts, as values. Printing them is the dossier's.
#pragma once

#include <cstdint>
#include <vector>

namespace mapwatch::forensics {

struct MapDistribution {
  static constexpr std::size_t kHistogram = 65;  ///< the last bin holds everything beyond
  static constexpr std::size_t kCells = 512;

  /// [n]: so many buckets (with their overflow buckets), or groups, hold n entries.
  std::vector<std::uint64_t> entries;
  /// Buckets: [n]: so many have n overflow buckets. Empty for Swiss maps.
  std::vector<std::uint64_t> overflow;
  /// [n]: so many entries are found in the n+1-th block that a lookup opens. Swiss maps need the hash for it; empty
  /// without.
  std::vector<std::uint64_t> probes;
  /// The map cut into equal pieces by bucket number or place in the directory: entries for each slot that is there
  /// (1.0: every slot used; more with overflow buckets). At most kCells, in order.
  std::vector<double> heat;
  std::uint64_t blocks = 0;      ///< buckets without their overflow buckets, or groups
  std::uint64_t tombstones = 0;  ///< deleted slots: emptyOne, or ctrlDeleted
  std::uint64_t free_slots = 0;

  double mean_entries() const;
  double mean_probes() const;  ///< blocks opened to find an entry; 0 when not known
};

/// Fills a MapDistribution. `total` positions (buckets, or places in the directory in group steps) make the heat map.
class DistributionBuilder {
 public:
  explicit DistributionBuilder(std::uint64_t total);

  /// A bucket or group at `position` of the total, with `live` entries of `slots`.
  void block(std::uint64_t position, std::uint64_t live, std::uint64_t slots);
  void overflow(std::uint64_t depth);
  void probe(std::uint64_t opened);
  void slots(std::uint64_t tombstones, std::uint64_t free);
  MapDistribution take();

 private:
  MapDistribution result_;
  std::uint64_t total_;
  std::vector<double> live_;
  std::vector<double> slots_;
};

}  // namespace mapwatch::forensics
