#include "dossier/map_json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

using namespace forensics;
using Json = nlohmann::ordered_json;

Json hex(std::uint64_t address) { return fmt::format("0x{:x}", address); }

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(escape(text)); }

Json header_json(const MapPicture& picture) {
  const MapHeader& header = picture.header;
  Json json;
  json["count"] = header.count;
  json["writing"] = header.writing;
  json["flags"] = header.flag_words;
  if (const BucketHeader* h = header.buckets()) {
    json["b"] = h->b;
    json["overflow_count"] = h->overflow_count;
    json["seed"] = hex(h->seed);
    json["buckets"] = hex(h->buckets);
    json["old_buckets"] = h->old_buckets == 0 ? Json(nullptr) : hex(h->old_buckets);
    json["evacuated"] = h->evacuated;
    json["old_bucket_count"] = h->old_bucket_count();
    json["old_evacuated_found"] = picture.totals.old_evacuated;
    json["old_entries_found"] = picture.totals.old_entries;
    json["same_size_growth"] = h->same_size_growth();
    return json;
  }
  const SwissHeader& h = *header.swiss();
  const TableSummary& tables = picture.totals.tables;
  json["seed"] = hex(h.seed);
  json["directory"] = hex(h.directory);
  json["directory_length"] = h.directory_length;
  json["global_depth"] = h.global_depth;
  json["global_shift"] = h.global_shift;
  json["clear_sequence"] = h.clear_sequence;
  json["tombstone_possible"] = h.has_tombstone_flag ? Json(h.tombstone_possible) : Json(nullptr);
  json["tables"] = tables.tables;
  json["growth_left"] = tables.growth_left;
  json["tombstones"] = tables.tombstones;
  json["growth_due_tables"] = tables.growth_due;
  json["splits_due"] = tables.splits_due;
  json["shallow_tables"] = tables.shallow;
  json["least_depth"] = tables.least_depth;
  json["greatest_depth"] = tables.greatest_depth;
  return json;
}

Json findings_json(const MapPicture& picture) {
  Json list = Json::array();
  for (const MapFinding& finding : picture.findings) {
    const DefectText& text = describe(finding.defect);
    Json json;
    json["code"] = text.code;
    json["count"] = finding.count;
    json["meaning"] = text.meaning;
    json["cause"] = text.cause;
    json["explained_by_write"] = finding.explained_by_write;
    json["examples"] = Json::array();
    for (const DefectExample& example : finding.examples) {
      json["examples"].push_back({{"address", hex(example.address)}, {"text", escape(example.text)}});
    }
    list.push_back(std::move(json));
  }
  return list;
}

Json distribution_json(const MapDistribution& d) {
  Json json;
  json["blocks"] = d.blocks;
  json["entries"] = d.entries;
  json["overflow"] = d.overflow;
  json["probes"] = d.probes;
  json["mean_entries"] = d.mean_entries();
  json["mean_probes"] = d.probes.empty() ? Json(nullptr) : Json(d.mean_probes());
  json["tombstones"] = d.tombstones;
  json["free_slots"] = d.free_slots;
  json["heat"] = d.heat;
  return json;
}

}  // namespace

std::string map_json(const MapPicture& picture) {
  const MapTotals& totals = picture.totals;
  Json json;
  json["address"] = hex(picture.header.address);
  json["type"] = escape(picture.type_name);
  json["type_address"] = hex(picture.type_address);
  json["key_type"] = escape(picture.key_type);
  json["element_type"] = escape(picture.element_type);
  json["layout"] = picture.kind == elf::MapKind::kSwiss ? "swiss" : "buckets";
  json["slots"] = picture.geometry.slots;
  json["block_bytes"] = picture.geometry.block_bytes;
  json["indirect_key"] = picture.indirect_key;
  json["indirect_element"] = picture.indirect_element;
  json["header"] = header_json(picture);
  json["growth"] = {{"due", picture.growth.due},
                    {"growing", picture.growth.growing},
                    {"load", picture.growth.load},
                    {"limit", picture.growth.limit},
                    {"why", picture.growth.why}};
  json["entries_found"] = totals.entries;
  json["marks"] = totals.marks;
  json["illegal_marks"] = totals.illegal_marks;
  json["overflow_found"] = totals.overflow_blocks;
  json["hashes"] = {{"unavailable", text_or_null(picture.hashes.unavailable)},
                    {"computed", picture.hashes.computed},
                    {"agree", picture.hashes.agree},
                    {"skipped", picture.hashes.skipped}};
  json["partial"] = text_or_null(picture.partial);
  json["changed_while_read"] = picture.changed_while_read;
  json["bytes_read"] = picture.bytes_read;
  json["findings"] = findings_json(picture);
  json["distribution"] = distribution_json(picture.distribution);
  json["entries"] = Json::array();
  for (const MapEntryText& entry : picture.entries) {
    json["entries"].push_back({{"key", entry.key}, {"element", entry.element}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mapwatch::dossier
