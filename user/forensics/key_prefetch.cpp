#include "forensics/key_prefetch.h"

#include <algorithm>
#include <cstring>

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kLongest = 256;  // longer strings are read one by one

}  // namespace

bool KeyPrefetch::live(std::uint8_t mark) const {
  return map_.kind == elf::MapKind::kSwiss ? (mark & 0x80) == 0 : mark >= 5;  // runtime/map.go: minTopHash
}

std::uint64_t KeyPrefetch::fetch(std::span<const std::uint8_t> blocks) {
  pieces_.clear();
  const MapGeometry& g = map_.geometry;
  if (map_.key->kind != GoKind::kString || map_.indirect_key || g.key_slot_bytes != 16) {
    return 0;
  }
  std::size_t size = 0;
  for (std::uint64_t at = 0; at + g.block_bytes <= blocks.size(); at += g.block_bytes) {
    for (std::uint32_t slot = 0; slot < g.slots; ++slot) {
      if (!live(blocks[at + g.marks_offset + slot])) {
        continue;
      }
      std::uint64_t text[2];  // address and length
      std::memcpy(text, blocks.data() + at + g.key_at(slot), sizeof text);
      if (text[1] != 0 && text[1] <= kLongest) {
        pieces_.push_back({text[0], size, static_cast<std::size_t>(text[1]), false});
        size += static_cast<std::size_t>(text[1]);
      }
    }
  }
  bytes_.resize(size);
  std::ranges::sort(pieces_, {}, &Piece::address);
  std::vector<ReadRequest> requests;
  requests.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    requests.push_back({piece.address, std::span(bytes_).subspan(piece.offset, piece.size)});
  }
  memory_.read_many(requests);
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    pieces_[i].good = requests[i].ok;
  }
  return size;
}

bool KeyPrefetch::read(std::uint64_t address, std::span<std::uint8_t> out) const {
  const auto piece = std::ranges::lower_bound(pieces_, address, {}, &Piece::address);
  if (piece != pieces_.end() && piece->address == address && piece->good && piece->size >= out.size()) {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(piece->offset), out.size(), out.begin());
    return true;
  }
  return memory_.read(address, out);
}

}  // namespace mapwatch::forensics
