// Judges what walk_map finds: integrity and distribution in one pass over the map.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "forensics/key_checks.h"
#include "forensics/map_distribution.h"
#include "forensics/map_findings.h"
#include "forensics/map_walk.h"

namespace mapwatch::forensics {

/// Sums over all tables of a Swiss map.
struct TableSummary {
  std::uint64_t tables = 0;
  std::uint64_t slots = 0;
  std::uint64_t growth_left = 0;  ///< free insertions before tables grow
  std::uint64_t growth_due = 0;   ///< tables that grow at their next new key
  std::uint64_t splits_due = 0;   ///< ... and split, for they are at their largest
  std::uint64_t tombstones = 0;
  std::uint64_t shallow = 0;  ///< tables not split as often as the directory was doubled
  unsigned least_depth = 0;
  unsigned greatest_depth = 0;
};

/// What one pass counted.
struct MapTotals {
  std::uint64_t entries = 0;
  std::uint64_t marks = 0;
  std::uint64_t illegal_marks = 0;
  std::uint64_t overflow_blocks = 0;  ///< of the current buckets
  std::uint64_t old_evacuated = 0;    ///< old buckets that are evacuated
  std::uint64_t old_entries = 0;      ///< entries still in old buckets
  TableSummary tables;
};

class BucketInspector final : public MapVisitor {
 public:
  BucketInspector(const MapType& type, const MapHeader& header, KeyChecks& keys, FindingList& findings);

  std::uint64_t upcoming(std::span<const std::uint8_t> blocks) override { return keys_.upcoming(blocks); }
  void chain(const Chain& chain) override;
  void table(const Table&) override {}
  /// Checks that need the whole map. `complete`: every block was visited.
  void finish(bool complete);
  const MapTotals& totals() const { return totals_; }
  MapDistribution distribution() { return distribution_.take(); }

 private:
  void check_header();
  void check_end(const Chain& chain);
  void check_old(const Chain& chain);
  /// Marks of one block; returns its live entries.
  std::uint64_t check_block(const Chain& chain, std::size_t number, bool& ended);
  void check_hash(const Chain& chain, std::uint64_t hash, std::uint8_t mark, std::uint64_t address,
                  const LazyText& where);
  bool old_evacuated(std::uint64_t bucket) const;

  const MapType& type_;
  const MapHeader& header_;
  const BucketHeader& buckets_;
  KeyChecks& keys_;
  FindingList& findings_;
  DistributionBuilder distribution_;
  MapTotals totals_;
  std::vector<bool> evacuated_;  ///< old buckets by index
};

class SwissInspector final : public MapVisitor {
 public:
  SwissInspector(const MapType& type, const MapHeader& header, KeyChecks& keys, FindingList& findings);

  std::uint64_t upcoming(std::span<const std::uint8_t> blocks) override { return keys_.upcoming(blocks); }
  void chain(const Chain&) override {}
  void table(const Table& table) override;
  void finish(bool complete);
  const MapTotals& totals() const { return totals_; }
  MapDistribution distribution() { return distribution_.take(); }

 private:
  struct Counts {
    std::uint64_t live = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t empty = 0;
  };
  void check_header();
  void check_place(const Table& table);
  void check_counts(const Table& table, const Counts& counts);
  Counts check_group(const Table& table, std::uint64_t number);
  void check_hash(const Table& table, std::uint64_t group, std::uint64_t hash, std::uint8_t mark, std::uint64_t address,
                  const LazyText& where);

  const MapType& type_;
  const MapHeader& header_;
  const SwissHeader& swiss_;
  KeyChecks& keys_;
  FindingList& findings_;
  DistributionBuilder distribution_;
  MapTotals totals_;
};

}  // namespace mapwatch::forensics
