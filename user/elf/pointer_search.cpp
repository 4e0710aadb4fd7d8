#include "elf/pointer_search.h"

#include <algorithm>
#include <cstring>

#include "elf/types.h"

namespace mapwatch::elf {
namespace {

constexpr std::uint64_t kMaxSearched = std::uint64_t{1} << 30;  // segments of a hostile file may overlap, many times

class Search {
 public:
  Search(const Image& image, const std::optional<ModuleData>& module, std::span<const AddressRange> apart,
         std::span<const std::uint64_t> targets)
      : image_(image), module_(module), apart_(apart), targets_(targets), known_(targets.size()) {}

  void add(const Pointer& pointer) {
    const auto place = std::ranges::lower_bound(targets_, pointer.target);
    if (place == targets_.end() || *place != pointer.target) {
      return;
    }
    const auto index = static_cast<std::size_t>(place - targets_.begin());
    const auto covers = [&](const AddressRange& range) {
      return pointer.address >= range.begin && pointer.address < range.end;
    };
    if (!known_[index] && std::ranges::none_of(apart_, covers)) {
      known_[index] = true;
      found_.push_back(pointer);
    }
  }

  void add_words(Bytes bytes, std::uint64_t address) {
    const std::uint64_t lowest = targets_.front();
    const std::uint64_t span = targets_.back() - lowest;
    for (std::uint64_t at = (8 - address % 8) % 8; at + 8 <= bytes.size(); at += 8) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + at, sizeof(word));
      if (word - lowest <= span && std::ranges::binary_search(targets_, word) &&
          !(module_ && is_name_of_type(image_, *module_, address + at))) {
        add({address + at, word});
      }
    }
  }

  std::vector<Pointer> take() { return std::move(found_); }

 private:
  const Image& image_;
  const std::optional<ModuleData>& module_;
  std::span<const AddressRange> apart_;
  std::span<const std::uint64_t> targets_;
  std::vector<bool> known_;
  std::vector<Pointer> found_;
};

}  // namespace

Result<std::vector<Pointer>> find_pointers(const Image& image, const std::optional<ModuleData>& module,
                                           std::span<const AddressRange> apart,
                                           std::span<const std::uint64_t> targets) {
  if (targets.empty()) {
    return {};
  }
  Search search(image, module, apart, targets);
  const Relocations& relocations = image.relocations();
  for (const Pointer& pointer : relocations.targeting(targets, relocations.size())) {
    search.add(pointer);
  }
  if (image.position_independent() && !relocations.packed()) {
    return search.take();  // what is no relocation is no pointer
  }
  std::uint64_t searched = 0;
  for (const Segment& segment : image.loads()) {
    const Bytes bytes = image.at(segment.address, segment.file_size).value_or(Bytes());
    searched += bytes.size();
    if (searched > kMaxSearched) {
      return fail(ErrorKind::kMalformed, "the segments hold more than 1 GiB: too much to be searched for pointers");
    }
    search.add_words(bytes, segment.address);
  }
  return search.take();
}

}  // namespace mapwatch::elf
