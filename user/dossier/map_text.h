// A map of the target as text for a terminal: header, judgement, histogram and heat map in Unicode blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "forensics/map_reader.h"

namespace mapwatch::dossier {

/// A named fact of a map; fit for a terminal.
struct MapFact {
  std::string_view name;
  std::string text;
};

/// Header, state, growth, hashes and the judgement of its integrity, in the order of showing.
std::vector<MapFact> map_facts(const forensics::MapPicture& picture);

/// "map 0xc000012345 map[string]int (buckets, the layout up to Go 1.23)".
std::string map_title(const forensics::MapPicture& picture);

/// Said of a finding that MapFinding::explained_by_write is set for.
constexpr std::string_view kExplainedByWrite = "the writing mark is set: a write that is under way can look like this";

/// Lines of at most about `width` columns, each ended by a newline. Target text is escaped.
std::string map_text(const forensics::MapPicture& picture, std::size_t width = 100);

/// "1,234,567".
std::string grouped(std::uint64_t number);

}  // namespace mapwatch::dossier
