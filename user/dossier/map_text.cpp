#include "dossier/map_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

using namespace forensics;

constexpr std::array<std::string_view, 9> kBar = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
constexpr std::array<std::string_view, 9> kHeat = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/// A bar of `share` (0..1) of `columns`, in eighths; something is shown for anything above 0.
std::string bar(double share, std::size_t columns) {
  const auto full = static_cast<double>(columns * 8);
  auto eighths = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * full));
  eighths = share > 0 ? std::max<std::size_t>(1, eighths) : eighths;
  std::string text;
  for (; eighths >= 8; eighths -= 8) {
    text += kBar[8];
  }
  return text.append(kBar[eighths]);
}

void fact(std::vector<MapFact>& facts, std::string_view name, std::string text) {
  facts.push_back({name, std::move(text)});
}

void histogram(std::string& out, std::string_view title, const std::vector<std::uint64_t>& bins, std::size_t first,
               std::size_t width) {
  if (bins.empty()) {
    return;
  }
  out += fmt::format("  {}\n", title);
  const std::uint64_t most = *std::ranges::max_element(bins);
  const std::size_t columns = width > 40 ? width - 30 : 10;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const bool last = i + 1 == MapDistribution::kHistogram;
    const double share = most == 0 ? 0 : static_cast<double>(bins[i]) / static_cast<double>(most);
    out += fmt::format("  {:>6}{} {:>12} {}\n", i + first, last ? "+" : " ", grouped(bins[i]), bar(share, columns));
  }
}

void heat_map(std::string& out, const MapDistribution& d, std::size_t width) {
  if (d.heat.size() < 2) {
    return;
  }
  const std::size_t columns = std::max<std::size_t>(8, width - 4);
  out += fmt::format("  where the entries lie, first to last of {} blocks ({} empty, {} full, {} overfull)\n",
                     grouped(d.blocks), "' '", kHeat[8], "▓");
  for (std::size_t start = 0; start < d.heat.size(); start += columns) {
    out += "  ";
    for (std::size_t i = start; i < std::min(start + columns, d.heat.size()); ++i) {
      const double load = d.heat[i];
      const auto level = static_cast<std::size_t>(std::lround(std::clamp(load, 0.0, 1.0) * 8));
      out += load > 1 ? std::string_view("▓") : kHeat[load > 0 ? std::max<std::size_t>(1, level) : 0];
    }
    out += "\n";
  }
}

void bucket_facts(std::vector<MapFact>& facts, const MapPicture& picture, const BucketHeader& h) {
  fact(facts, "size",
       fmt::format("2^{} = {} buckets of {} slots, {:.2f} entries a bucket of {} at most", h.b,
                   grouped(h.bucket_count()), picture.geometry.slots, picture.growth.load, picture.growth.limit));
  fact(facts, "overflow",
       fmt::format("{} buckets found, the header says {}{}", grouped(picture.totals.overflow_blocks),
                   grouped(h.overflow_count), h.b < 16 ? "" : " (an estimate at this size)"));
  if (h.old_buckets != 0) {
    fact(facts, "growing",
         fmt::format("{}: {} of {} old buckets are evacuated, {} entries still in old ones",
                     h.same_size_growth() ? "at the same size" : "to twice the size",
                     grouped(picture.totals.old_evacuated), grouped(h.old_bucket_count()),
                     grouped(picture.totals.old_entries)));
  }
}

void swiss_facts(std::vector<MapFact>& facts, const MapPicture& picture, const SwissHeader& h) {
  const TableSummary& t = picture.totals.tables;
  if (h.directory_length == 0) {
    fact(facts, "size", fmt::format("one group of {} slots", picture.geometry.slots));
    return;
  }
  fact(facts, "size",
       fmt::format("{} tables with {} slots, directory of 2^{} = {} places", grouped(t.tables), grouped(t.slots),
                   h.global_depth, grouped(h.directory_length)));
  fact(facts, "depth",
       fmt::format("{} to {}, {} tables not split as often as the directory was doubled", t.least_depth,
                   t.greatest_depth, grouped(t.shallow)));
  fact(facts, "free",
       fmt::format("{} more new keys fit, {} deleted slots (tombstones)", grouped(t.growth_left),
                   grouped(t.tombstones)));
}

std::string hash_text(const HashStatistics& hashes) {
  if (!hashes.unavailable.empty()) {
    return "not computed: " + escape(hashes.unavailable);
  }
  return fmt::format("{} of {} keys lie where their hash leads{}", grouped(hashes.agree), grouped(hashes.computed),
                     hashes.skipped == 0 ? "" : fmt::format(", {} not computed", grouped(hashes.skipped)));
}

std::string integrity_text(const MapPicture& picture) {
  const MapTotals& totals = picture.totals;
  if (picture.findings.empty()) {
    return fmt::format("no damage found: {} marks, {} entries{}", grouped(totals.marks), grouped(totals.entries),
                       picture.partial.empty() ? "" : ", in the part that was read");
  }
  return fmt::format("{} kind{} of damage; {} of {} marks are illegal", picture.findings.size(),
                     picture.findings.size() == 1 ? "" : "s", grouped(totals.illegal_marks), grouped(totals.marks));
}

void finding_lines(std::string& out, const MapFinding& finding) {
  const DefectText& text = describe(finding.defect);
  out += fmt::format("    {} ({}): {}\n", text.code, grouped(finding.count), text.meaning);
  out += fmt::format("      how: {}\n", text.cause);
  if (finding.explained_by_write) {
    out += fmt::format("      {}\n", kExplainedByWrite);
  }
  for (const DefectExample& example : finding.examples) {
    out += fmt::format("      {:#x} {}\n", example.address, escape(example.text, 300));
  }
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) {
    digits.insert(at - 3, ",");
  }
  return digits;
}

std::vector<MapFact> map_facts(const MapPicture& picture) {
  const MapHeader& header = picture.header;
  std::vector<MapFact> facts;
  fact(facts, "entries", fmt::format("{}, len() says {}", grouped(picture.totals.entries), grouped(header.count)));
  std::string flags;
  for (const std::string& word : header.flag_words) {
    flags += (flags.empty() ? "" : ", ") + word;
  }
  fact(facts, "flags", flags.empty() ? "none" : flags);
  fact(facts, "writing", header.writing ? "yes: a goroutine is inside a write of this map" : "no");
  if (const BucketHeader* h = header.buckets()) {
    bucket_facts(facts, picture, *h);
    fact(facts, "seed", fmt::format("{:#010x}", h->seed));
  } else {
    swiss_facts(facts, picture, *header.swiss());
    fact(facts, "seed", fmt::format("{:#018x}", header.swiss()->seed));
  }
  fact(facts, "growth", picture.growth.why);
  fact(facts, "hashes", hash_text(picture.hashes));
  if (!picture.partial.empty()) {
    fact(facts, "partial", "not all of the map was read: " + escape(picture.partial));
  }
  if (picture.changed_while_read) {
    fact(facts, "torn", "the map changed while it was read: damage named here may be none");
  }
  fact(facts, "integrity", integrity_text(picture));
  return facts;
}

std::string map_title(const MapPicture& picture) {
  return fmt::format("map {:#x} {} ({})", picture.header.address, escape(picture.type_name, 300),
                     picture.header.buckets() != nullptr ? "buckets, the layout up to Go 1.23"
                                                         : "Swiss tables, the layout since Go 1.24");
}

std::string map_text(const MapPicture& picture, std::size_t width) {
  const bool buckets = picture.header.buckets() != nullptr;
  std::string out = map_title(picture) + "\n";
  for (const MapFact& one : map_facts(picture)) {
    out += fmt::format("  {:<10} {}\n", one.name, one.text);
  }
  for (const MapFinding& finding : picture.findings) {
    finding_lines(out, finding);
  }
  const MapDistribution& d = picture.distribution;
  histogram(out, buckets ? "entries in a bucket: so many buckets" : "entries in a group: so many groups", d.entries, 0,
            width);
  histogram(out, "overflow buckets of a bucket: so many buckets", d.overflow, 0, width);
  histogram(out, "blocks opened to find an entry: so many entries", d.probes, 1, width);
  heat_map(out, d, width);
  for (const MapEntryText& entry : picture.entries) {
    out += fmt::format("    {}: {}\n", entry.key, entry.element);
  }
  if (!picture.entries.empty() && picture.entries.size() < picture.totals.entries) {
    out += fmt::format("    ... and {} more\n", grouped(picture.totals.entries - picture.entries.size()));
  }
  return out;
}

}  // namespace mapwatch::dossier
