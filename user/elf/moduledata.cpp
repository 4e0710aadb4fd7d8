#include "elf/moduledata.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace mapwatch::elf {
namespace {

// Words of moduledata: pcHeader, funcnametab, cutab, filetab, pctab, pclntable (slices), ftab, findfunctab, minpc,
// maxpc, text, etext. The same in all of Go 1.17 to 1.27.
constexpr std::size_t kNamesWord = 1;
constexpr std::size_t kFunctionsWord = 13;
constexpr std::size_t kTextWord = 22;
constexpr std::size_t kEtextWord = 23;
// noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss: one range of variables.
constexpr std::size_t kDataWord = 24;
constexpr std::size_t kDataEndWord = 31;
// Pointers to the pclntab that are tried; a real file has one or two.
constexpr std::size_t kMaxCandidates = 64;

std::optional<ModuleData> read_at(const Image& image, const PclnTable& table, const ModuleLayout& layout,
                                  std::uint64_t address) {
  const std::size_t count = std::max({layout.types, layout.etypes, layout.gofunc}) / 8 + 1;
  const auto words = image.words(address, std::max(count, kDataEndWord + 1));
  if (!words || words->at(0) != table.address() || words->at(kNamesWord) != table.names_address() ||
      words->at(kFunctionsWord) != table.functions_address()) {
    return std::nullopt;
  }
  ModuleData data;
  data.address = address;
  data.text = words->at(kTextWord);
  data.etext = words->at(kEtextWord);
  data.data = words->at(kDataWord);
  data.data_end = words->at(kDataEndWord);
  data.types = words->at(layout.types / 8);
  data.etypes = words->at(layout.etypes / 8);
  data.gofunc = layout.gofunc == 0 ? 0 : words->at(layout.gofunc / 8);
  return data;
}

void add_pointers(const Image& image, const Segment& segment, std::uint64_t target, std::vector<std::uint64_t>& found) {
  const Bytes bytes = image.from(segment.address).value_or(Bytes());
  const std::uint64_t first = (8 - segment.address % 8) % 8;
  for (std::uint64_t at = first; at + 8 <= bytes.size() && found.size() < kMaxCandidates; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    if (word == target) {
      found.push_back(segment.address + at);
    }
  }
}

}  // namespace

std::optional<ModuleData> find_module_data(const Image& image, const PclnTable& table, const ModuleLayout& layout) {
  if (const Section* section = image.section(".go.module")) {
    if (auto data = read_at(image, table, layout, section->address)) {
      return data;
    }
  }
  const std::uint64_t wanted[] = {table.address()};
  std::vector<std::uint64_t> candidates;
  for (const Pointer& pointer : image.relocations().targeting(wanted, kMaxCandidates)) {
    candidates.push_back(pointer.address);
  }
  for (const Segment& segment : image.loads()) {
    if (segment.writable) {
      add_pointers(image, segment, table.address(), candidates);
    }
  }
  for (const std::uint64_t candidate : candidates) {
    if (auto data = read_at(image, table, layout, candidate)) {
      return data;
    }
  }
  return std::nullopt;
}

}  // namespace mapwatch::elf
