#include "forensics/word_search.h"

#include <algorithm>

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kChunk = std::uint64_t{256} << 10;
constexpr std::uint64_t kPage = 4096;

class Search {
 public:
  Search(const BoundedMemory& memory, std::uint64_t value, const SearchLimits& limits)
      : memory_(memory), value_(value), limits_(limits), buffer_(kChunk) {}

  WordPlaces run(std::span<const elf::AddressRange> ranges) {
    std::uint64_t left = limits_.bytes;
    for (const elf::AddressRange& range : ranges) {
      for (std::uint64_t at = range.begin; at < range.end && found_.partial.empty();) {
        if (left == 0) {
          found_.partial = "more memory than is searched";
          break;
        }
        // Chunks end at page boundaries, so that what cannot be read is stepped over by whole pages.
        const std::uint64_t size = std::min({kChunk - at % kPage, range.end - at, left});
        chunk(at, size);
        at += size;
        left -= size;
        if (memory_.cut()) {
          found_.partial = "the time for searching was over";
        }
      }
    }
    return std::move(found_);
  }

 private:
  void chunk(std::uint64_t at, std::uint64_t size) {
    const std::span<std::uint8_t> bytes = std::span(buffer_).first(size);
    if (memory_.read(at, bytes)) {
      look(at, bytes);
      return;
    }
    std::vector<ReadRequest> pages;
    for (std::uint64_t from = 0; from < size;) {
      const std::uint64_t piece = std::min(kPage - (at + from) % kPage, size - from);
      pages.push_back({at + from, bytes.subspan(from, piece), false});
      from += piece;
    }
    memory_.read_many(pages);
    for (const ReadRequest& page : pages) {
      if (page.ok) {
        look(page.address, page.out);
      } else {
        found_.bytes_unreadable += page.out.size();
      }
    }
  }

  void look(std::uint64_t at, std::span<const std::uint8_t> bytes) {
    found_.bytes_searched += bytes.size();
    find_word(bytes, at, value_, [&](std::uint64_t place) {
      ++found_.total;
      if (found_.addresses.size() < limits_.places) {
        found_.addresses.push_back(place);
      }
    });
  }

  const BoundedMemory& memory_;
  std::uint64_t value_;
  const SearchLimits& limits_;
  std::vector<std::uint8_t> buffer_;
  WordPlaces found_;
};

}  // namespace

WordPlaces find_word(const BoundedMemory& memory, std::span<const elf::AddressRange> ranges, std::uint64_t value,
                     const SearchLimits& limits) {
  return Search(memory, value, limits).run(ranges);
}

}  // namespace mapwatch::forensics
