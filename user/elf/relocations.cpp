#include "elf/relocations.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace mapwatch::elf {
namespace {

struct DynamicInfo {
  std::uint64_t rela = 0;
  std::uint64_t rela_size = 0;
  std::uint64_t rela_entry = sizeof(Elf64_Rela);
  std::uint64_t symbols = 0;
  bool packed = false;
};

DynamicInfo read_dynamic(Bytes bytes) {
  DynamicInfo info;
  for (std::uint64_t at = 0;; at += sizeof(Elf64_Dyn)) {
    const auto tag = bytes.read<Elf64_Dyn>(at);
    if (!tag || tag->d_tag == DT_NULL) {
      return info;
    }
    switch (tag->d_tag) {
      case DT_RELA:
        info.rela = tag->d_un.d_ptr;
        break;
      case DT_RELASZ:
        info.rela_size = tag->d_un.d_val;
        break;
      case DT_RELAENT:
        info.rela_entry = tag->d_un.d_val;
        break;
      case DT_RELR:
        info.packed = true;
        break;
      case DT_SYMTAB:
        info.symbols = tag->d_un.d_ptr;
        break;
      default:
        break;
    }
  }
}

}  // namespace

Result<Relocations> Relocations::read(Bytes file, std::span<const Segment> loads, const Segment& dynamic) {
  const auto bytes = file.sub(dynamic.offset, dynamic.file_size);
  if (!bytes) {
    return fail(ErrorKind::kMalformed, "ELF: the dynamic segment reaches beyond the end of the file");
  }
  const DynamicInfo info = read_dynamic(*bytes);
  Relocations relocations;
  relocations.packed_ = info.packed;
  if (info.rela_size == 0) {
    return relocations;
  }
  const auto offset = offset_of(loads, info.rela);
  const auto table = offset ? file.sub(*offset, info.rela_size) : std::nullopt;
  if (!table || info.rela_entry != sizeof(Elf64_Rela)) {
    return fail(ErrorKind::kMalformed, "ELF: the relocation table (DT_RELA) is not inside the file");
  }
  relocations.table_ = *table;
  relocations.address_ = info.rela;
  relocations.count_ = table->size() / sizeof(Elf64_Rela);
  if (const auto symbols = offset_of(loads, info.symbols)) {
    relocations.symbols_ = file.from(*symbols).value_or(Bytes());
  }
  // Linkers write the RELATIVE entries first and mostly by address (ld -z combreloc); then a search needs no index.
  std::uint64_t last = 0;
  while (relocations.sorted_ < relocations.count_) {
    const Entry entry = relocations.entry(relocations.sorted_);
    if (ELF64_R_TYPE(entry.info) != R_X86_64_RELATIVE || entry.offset < last) {
      break;
    }
    last = entry.offset;
    ++relocations.sorted_;
  }
  return relocations;
}

Relocations::Entry Relocations::entry(std::size_t index) const {
  Entry entry;
  std::memcpy(&entry, table_.data() + index * sizeof(Entry), sizeof(Entry));
  return entry;
}

std::optional<std::uint64_t> Relocations::resolve(const Entry& entry) const {
  switch (ELF64_R_TYPE(entry.info)) {
    case R_X86_64_RELATIVE:
      return entry.addend;
    case R_X86_64_64: {
      const auto symbol = symbols_.read<Elf64_Sym>(ELF64_R_SYM(entry.info) * sizeof(Elf64_Sym));
      if (!symbol || symbol->st_value == 0) {
        return std::nullopt;
      }
      return symbol->st_value + entry.addend;
    }
    default:
      return std::nullopt;
  }
}

std::optional<std::uint64_t> Relocations::value(std::uint64_t address) const {
  std::size_t low = 0;
  std::size_t high = sorted_;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (entry(middle).offset < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low < sorted_ && entry(low).offset == address) {
    return entry(low).addend;
  }
  for (std::size_t i = sorted_; i < count_; ++i) {
    const Entry candidate = entry(i);
    if (candidate.offset == address) {
      if (const auto value = resolve(candidate)) {
        return value;
      }
    }
  }
  return std::nullopt;
}

void Relocations::apply(std::uint64_t address, std::span<std::uint64_t> words) const {
  for (std::size_t i = 0; i < count_; ++i) {
    const Entry candidate = entry(i);
    const std::uint64_t distance = candidate.offset - address;
    if (candidate.offset < address || distance % 8 != 0 || distance / 8 >= words.size()) {
      continue;
    }
    if (const auto value = resolve(candidate)) {
      words[distance / 8] = *value;
    }
  }
}

std::vector<Pointer> Relocations::targeting(std::span<const std::uint64_t> targets, std::size_t limit) const {
  std::vector<Pointer> found;
  for (std::size_t i = 0; i < count_ && found.size() < limit; ++i) {
    const Entry candidate = entry(i);
    if (const auto value = resolve(candidate); value && std::ranges::binary_search(targets, *value)) {
      found.push_back({candidate.offset, *value});
    }
  }
  return found;
}

}  // namespace mapwatch::elf
