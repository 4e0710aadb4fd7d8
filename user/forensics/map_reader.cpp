#include "forensics/map_reader.h"

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

/// Tables, not the header, know when a Swiss map grows.
GrowthDue table_growth(const MapTotals& totals, std::uint32_t slots) {
  const TableSummary& tables = totals.tables;
  GrowthDue due;
  due.limit = static_cast<double>(slots) * 7 / 8;
  due.load = tables.slots == 0 ? 0 : static_cast<double>(totals.entries) * slots / static_cast<double>(tables.slots);
  due.due = tables.growth_due != 0;
  due.why = due.due ? fmt::format(
                          "{} of {} tables are at 7/8 with their deleted slots: the next new key there makes"
                          " them grow, {} of them by a split",
                          tables.growth_due, tables.tables, tables.splits_due)
                    : fmt::format("no growth: {} more new keys fit into {} tables", tables.growth_left, tables.tables);
  return due;
}

}  // namespace

Result<MapPicture> read_map(TypeReader& types, const HashSource& hashes, const MapRequest& request,
                            const Clock& clock) {
  const MapType type = TRY(read_map_type(types, request.type));
  MapPicture picture;
  picture.header = TRY(read_map_header(types.memory(), types.space(), request.map));
  picture.type_name = type.name;
  picture.type_address = type.address;
  picture.key_type = types.name(*type.key);
  picture.element_type = types.name(*type.element);
  picture.kind = type.kind;
  picture.geometry = type.geometry;
  picture.indirect_key = type.indirect_key;
  picture.indirect_element = type.indirect_element;
  picture.growth = growth_due(picture.header, type, types.space().minor);

  const MapHeader& header = picture.header;
  MapBudget budget(request.limits, clock);
  FindingList findings(header.writing, request.limits.examples);
  const std::uint64_t seed = header.buckets() != nullptr ? header.buckets()->seed : header.swiss()->seed;
  KeyChecks keys(types, type, hashes, seed, header.count > request.limits.duplicate_window, findings);
  if (request.limits.entries != 0) {
    keys.set_sink([&](const Entry& entry) {
      if (picture.entries.size() < request.limits.entries) {
        picture.entries.push_back({entry.key_address, value_text(types, *type.key, entry.key, request.style),
                                   value_text(types, *type.element, entry.element_address, request.style)});
      }
    });
  }
  const auto inspect = [&](auto inspector) {
    walk_map(types.memory(), type, header, budget, inspector);
    picture.partial = budget.why();
    inspector.finish(picture.partial.empty());
    picture.totals = inspector.totals();
    picture.distribution = inspector.distribution();
  };
  if (header.buckets() != nullptr) {
    inspect(BucketInspector(type, header, keys, findings));
  } else {
    inspect(SwissInspector(type, header, keys, findings));
    if (header.swiss()->directory_length != 0) {
      picture.growth = table_growth(picture.totals, type.geometry.slots);
    }
  }
  keys.finish();
  picture.hashes = keys.statistics();
  picture.findings = findings.take();
  picture.bytes_read = budget.bytes();
  const auto again = read_map_header(types.memory(), types.space(), request.map);
  picture.changed_while_read = !again || !(*again == header);
  return picture;
}

}  // namespace mapwatch::forensics
