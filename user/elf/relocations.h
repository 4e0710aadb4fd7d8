// The dynamic relocations that give pointers in a position-independent file their values at load bias 0.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "elf/go_binary.h"
#include "elf/segment.h"

namespace mapwatch::elf {

/// DT_RELA entries of type R_X86_64_RELATIVE and R_X86_64_64 with a defined symbol (System V ABI, AMD64 supplement,
/// "Relocation Types"); the other types do not concern data. DT_RELR needs no reading: its addends are in place.
class Relocations {
 public:
  Relocations() = default;
  /// Reads the dynamic segment. A table that is not wholly inside the file is kMalformed.
  static Result<Relocations> read(Bytes file, std::span<const Segment> loads, const Segment& dynamic);

  std::size_t size() const { return count_; }
  /// There are DT_RELR entries too.
  bool packed() const { return packed_; }
  /// Where the table itself lies: its addends are no pointers of the program.
  AddressRange range() const { return {address_, address_ + table_.size()}; }
  /// The relocated word at `address`; nullopt when nothing is relocated there.
  std::optional<std::uint64_t> value(std::uint64_t address) const;
  /// Puts the relocated values among the words at `address` into `words`.
  void apply(std::uint64_t address, std::span<std::uint64_t> words) const;
  /// At most `limit` words that are relocated to one of `targets` (ascending).
  std::vector<Pointer> targeting(std::span<const std::uint64_t> targets, std::size_t limit) const;

 private:
  struct Entry {
    std::uint64_t offset;
    std::uint64_t info;
    std::uint64_t addend;
  };
  Entry entry(std::size_t index) const;
  std::optional<std::uint64_t> resolve(const Entry& entry) const;

  Bytes table_;
  Bytes symbols_;
  std::uint64_t address_ = 0;
  bool packed_ = false;
  std::size_t count_ = 0;
  std::size_t sorted_ = 0;  ///< the first sorted_ entries are R_X86_64_RELATIVE, by ascending offset
};

}  // namespace mapwatch::elf
