#include "elf/dwarf.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "elf/debug_section.h"

namespace mapwatch::elf {
namespace {

constexpr std::size_t kMaxAbbrev = std::size_t{1} << 20;
constexpr std::size_t kFirstStep = std::size_t{1} << 20;
constexpr std::size_t kStepFactor = 4;
constexpr std::size_t kMaxInfo = std::size_t{64} << 20;
// Of a version that the table knows: inflating 16 MB takes 100 ms and more, and would tell the same.
constexpr std::size_t kMaxKnownInfo = std::size_t{4} << 20;
constexpr std::size_t kOverlap = std::size_t{64} << 10;  // more than the DIEs of any struct sought
constexpr std::size_t kMaxCandidates = 256;
constexpr std::size_t kMaxMembers = 1024;
constexpr Dwarf_Word kMaxOffset = 1 << 16;

std::vector<DwarfStruct> wanted_structs(MapKind kind, Offsets& offsets) {
  std::vector<DwarfStruct> wanted = {
      {"runtime.g",
       {{"goid", &offsets.g_goid}, {"gopc", &offsets.g_gopc}, {"m", &offsets.g_m}, {"stack", &offsets.g_stack_lo}}},
      {"runtime.m", {{"curg", &offsets.m_curg}}},
  };
  if (kind == MapKind::kSwiss) {
    wanted.push_back({"internal/runtime/maps.Map",
                      {{"writing", &offsets.map_mark}, {"used", &offsets.map_len}, {"seed", &offsets.map_seed}}});
    wanted.push_back({"internal/runtime/maps.Iter", {{"m", &offsets.iter_map}, {"typ", &offsets.iter_type}}, true});
  } else {
    wanted.push_back(
        {"runtime.hmap", {{"flags", &offsets.map_mark}, {"count", &offsets.map_len}, {"hash0", &offsets.map_seed}}});
    wanted.push_back({"runtime.hiter", {{"h", &offsets.iter_map}, {"t", &offsets.iter_type}}, true});
  }
  return wanted;
}

/// An ELF file in memory that holds .debug_abbrev and a growing first part of .debug_info. libdw would decompress
/// every debug section of the real file before it answers the first question.
class DebugFile {
 public:
  explicit DebugFile(DebugSection& abbrev) {
    static constexpr char kNames[] = "\0.debug_abbrev\0.debug_info\0.shstrtab";
    bytes_.resize(kContents + sizeof(kNames));
    put(kContents, kNames);
    const std::size_t abbrev_at = bytes_.size();
    abbrev.read(kMaxAbbrev, bytes_);
    info_at_ = bytes_.size();
    end();
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_shoff = sizeof(Elf64_Ehdr);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = kSections;
    header.e_shstrndx = kSections - 1;
    put(0, header);
    put_section(1, 1, SHT_PROGBITS, abbrev_at, info_at_ - abbrev_at);
    put_section(3, 27, SHT_STRTAB, kContents, sizeof(kNames));
  }

  /// Reads more of .debug_info; false when that was all.
  bool grow(DebugSection& info, std::size_t count) {
    bytes_.pop_back();
    const bool more = info.read(count, bytes_);
    end();
    put_section(2, 15, SHT_PROGBITS, info_at_, this->info().size());
    return more;
  }

  Bytes info() const { return Bytes(bytes_.data() + info_at_, bytes_.size() - 1 - info_at_); }

  /// Makes the unit that reaches beyond the bytes read so far end with them. Returns what was there.
  struct Patch {
    std::size_t at = 0;
    std::uint32_t length = 0;
  };
  std::optional<Patch> cut_last_unit() {
    std::uint64_t at = 0;
    while (const auto length = info().read<std::uint32_t>(at)) {
      const std::uint64_t rest = info().size() - at - 4;
      if (*length >= 0xfffffff0U) {
        return std::nullopt;  // 64-bit DWARF, which Go does not write
      }
      if (*length > rest) {
        put(info_at_ + at, static_cast<std::uint32_t>(rest));
        return Patch{info_at_ + at, *length};
      }
      at += 4 + std::uint64_t{*length};
    }
    return std::nullopt;
  }
  void undo(const Patch& patch) { put(patch.at, patch.length); }

  /// Handed to elf_memory, which wants it writable and does not write.
  char* data() { return reinterpret_cast<char*>(bytes_.data()); }
  std::size_t size() const { return bytes_.size(); }

 private:
  static constexpr std::size_t kSections = 4;
  static constexpr std::size_t kContents = sizeof(Elf64_Ehdr) + kSections * sizeof(Elf64_Shdr);

  /// A zero behind the section: libdw (0.188) gives out a name that is written inline without looking for its end.
  void end() { bytes_.push_back(std::byte{0}); }

  template <typename T>
  void put(std::size_t at, const T& value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  void put_section(std::size_t index, std::uint32_t name, std::uint32_t type, std::size_t at, std::size_t size) {
    Elf64_Shdr section{};
    section.sh_name = name;
    section.sh_type = type;
    section.sh_offset = at;
    section.sh_size = size;
    section.sh_addralign = 1;
    put(sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Shdr), section);
  }

  std::vector<std::byte> bytes_;
  std::size_t info_at_ = 0;
};

/// Reads the members of the structure at `offset`; false unless it is `wanted` and has all of its fields.
bool read_struct(Dwarf* dwarf, Dwarf_Off offset, DwarfStruct& wanted) {
  Dwarf_Die die;
  if (dwarf_offdie(dwarf, offset, &die) == nullptr || dwarf_tag(&die) != DW_TAG_structure_type) {
    return false;
  }
  const char* name = dwarf_diename(&die);
  Dwarf_Die member;
  if (name == nullptr || wanted.name != name || dwarf_child(&die, &member) != 0) {
    return false;
  }
  std::vector<std::optional<std::uint32_t>> values(wanted.fields.size());
  for (std::size_t i = 0; i < kMaxMembers && dwarf_tag(&member) == DW_TAG_member; ++i) {
    const char* field = dwarf_diename(&member);
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    const bool located = dwarf_attr(&member, DW_AT_data_member_location, &attribute) != nullptr &&
                         dwarf_formudata(&attribute, &value) == 0 && value < kMaxOffset;
    for (std::size_t k = 0; field != nullptr && located && k < values.size(); ++k) {
      if (wanted.fields[k].name == field) {
        values[k] = static_cast<std::uint32_t>(value);
      }
    }
    // A member has no children; with some, finding its sibling could take the whole section.
    Dwarf_Die next;
    if (dwarf_haschildren(&member) != 0 || dwarf_siblingof(&member, &next) != 0) {
      break;
    }
    member = next;
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (!values[k]) {
      return false;
    }
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    *wanted.fields[k].offset = *values[k];
  }
  return true;
}

/// Go writes a DIE's name inline as its first attribute, so a struct's DIE starts one byte (its abbreviation code)
/// before its name. Looking for the bytes of the name is much faster than walking all DIEs.
void search(Dwarf* dwarf, Bytes info, std::size_t from, DwarfStruct& wanted) {
  const std::byte* at = info.data() + from;
  for (std::size_t i = 0; i < kMaxCandidates; ++i) {
    const auto left = static_cast<std::size_t>(info.data() + info.size() - at);
    // std::string_view::find stops at every 'r' or 'i'; memmem does not.
    at = static_cast<const std::byte*>(memmem(at, left, wanted.name.c_str(), wanted.name.size() + 1));
    if (at == nullptr) {
      return;
    }
    const auto offset = static_cast<std::size_t>(at - info.data());
    if (offset != 0 && read_struct(dwarf, offset - 1, wanted)) {
      wanted.found = true;
      return;
    }
    ++at;
  }
}

void search_all(DebugFile& file, std::size_t from, std::vector<DwarfStruct>& wanted) {
  const auto patch = file.cut_last_unit();
  const std::unique_ptr<Elf, decltype(&elf_end)> elf(elf_memory(file.data(), file.size()), &elf_end);
  if (elf != nullptr) {
    const std::unique_ptr<Dwarf, decltype(&dwarf_end)> dwarf(dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr),
                                                             &dwarf_end);
    for (DwarfStruct& one : wanted) {
      if (dwarf != nullptr && !one.found) {
        search(dwarf.get(), file.info(), from, one);
      }
    }
  }
  if (patch) {
    file.undo(*patch);
  }
}

bool all_found(const std::vector<DwarfStruct>& wanted, bool with_optional) {
  for (const DwarfStruct& one : wanted) {
    if (!one.found && (with_optional || !one.optional)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool read_dwarf_structs(const Image& image, OffsetSource otherwise, std::vector<DwarfStruct>& wanted) {
  auto info = DebugSection::open(image, "info");
  auto abbrev = DebugSection::open(image, "abbrev");
  if (!info || !abbrev) {
    return false;
  }
  elf_version(EV_CURRENT);
  DebugFile file(*abbrev);
  const std::size_t limit = otherwise == OffsetSource::kUnverified ? kMaxInfo : kMaxKnownInfo;
  std::size_t step = kFirstStep;
  bool more = true;
  while (more && file.info().size() < limit && !all_found(wanted, true)) {
    const std::size_t seen = file.info().size();
    more = file.grow(*info, step);
    search_all(file, seen > kOverlap ? seen - kOverlap : 0, wanted);
    step = file.info().size() * (kStepFactor - 1);
  }
  return all_found(wanted, false);
}

std::optional<Offsets> dwarf_offsets(const Image& image, MapKind kind, const Offsets& table) {
  Offsets offsets = table;
  offsets.source = OffsetSource::kDwarf;
  std::vector<DwarfStruct> wanted = wanted_structs(kind, offsets);
  if (!read_dwarf_structs(image, table.source, wanted)) {
    return std::nullopt;
  }
  offsets.g_stack_hi = offsets.g_stack_lo + 8;  // runtime.stack {lo, hi uintptr}
  return offsets;
}

}  // namespace mapwatch::elf
