#include "elf/image.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace mapwatch::elf {
namespace {

constexpr std::uint64_t kPageSize = 4096;
// UPX writes its l_info {checksum, "UPX!", ...} right after the program headers (upx src/stub/src/include/linux.h).
constexpr std::string_view kUpxMagic = "UPX!";
constexpr std::size_t kUpxSearch = 1024;

std::string machine_name(std::uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "386";
    case EM_ARM:
      return "arm";
    case EM_AARCH64:
      return "arm64";
    case EM_RISCV:
      return "riscv64";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    case EM_MIPS:
      return "mips";
    case EM_LOONGARCH:
      return "loong64";
    default:
      return "of unknown architecture";
  }
}

Result<Elf64_Ehdr> read_header(Bytes file) {
  constexpr std::string_view kElfMagic(ELFMAG, SELFMAG);
  if (!file.text().starts_with(kElfMagic)) {
    return fail(ErrorKind::kMalformed, "not an ELF file", "mapwatch watches Linux programs built by Go");
  }
  const auto ident = file.read<std::array<unsigned char, EI_NIDENT>>(0);
  if (!ident) {
    return fail(ErrorKind::kMalformed, "ELF: truncated in its header");
  }
  if ((*ident)[EI_CLASS] != ELFCLASS64) {
    return fail(ErrorKind::kUnsupported, "32-bit ELF file", "mapwatch supports 64-bit amd64 programs only");
  }
  if ((*ident)[EI_DATA] != ELFDATA2LSB) {
    return fail(ErrorKind::kUnsupported, "big-endian ELF file", "mapwatch supports 64-bit amd64 programs only");
  }
  const auto header = file.read<Elf64_Ehdr>(0);
  if (!header) {
    return fail(ErrorKind::kMalformed, "ELF: truncated in its header");
  }
  if (header->e_machine != EM_X86_64) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("ELF program {} (machine {})", machine_name(header->e_machine), header->e_machine),
                "mapwatch supports 64-bit amd64 programs only");
  }
  if (header->e_type != ET_EXEC && header->e_type != ET_DYN) {
    return fail(ErrorKind::kMalformed, fmt::format("ELF file of type {}, not a program", header->e_type));
  }
  return *header;
}

}  // namespace

Result<Image> Image::parse(Bytes file) {
  const Elf64_Ehdr header = TRY(read_header(file));
  Image image;
  image.file_ = file;
  image.position_independent_ = header.e_type == ET_DYN;
  TRY(image.read_segments());
  if (header.e_shnum == 0) {
    const std::string_view start = file.text().substr(0, kUpxSearch);
    if (start.find(kUpxMagic) != std::string_view::npos) {
      return fail(ErrorKind::kMalformed, "packed with UPX: the program's code is not in its file",
                  "unpack it (upx -d FILE) and start it again");
    }
  }
  TRY(image.read_sections());
  if (image.dynamic_) {
    image.relocations_ = TRY(Relocations::read(file, image.loads_, *image.dynamic_));
  }
  return image;
}

Result<void> Image::read_segments() {
  const Elf64_Ehdr header = *file_.read<Elf64_Ehdr>(0);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum == PN_XNUM) {
    return fail(ErrorKind::kMalformed, "ELF: no usable program headers");
  }
  if (!file_.sub(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr))) {
    return fail(ErrorKind::kMalformed, "ELF: truncated in its program headers");
  }
  bool code = false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr raw = *file_.read<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (raw.p_type != PT_LOAD && raw.p_type != PT_DYNAMIC && raw.p_type != PT_NOTE) {
      continue;
    }
    const auto bytes = file_.sub(raw.p_offset, raw.p_filesz);
    const bool wraps = raw.p_vaddr > std::numeric_limits<std::uint64_t>::max() - raw.p_memsz;
    if (!bytes || raw.p_filesz > raw.p_memsz || wraps) {
      if (raw.p_type == PT_NOTE) {
        continue;
      }
      return fail(ErrorKind::kMalformed,
                  fmt::format("ELF: truncated: segment {} ends at offset {:#x}, the file at {:#x}", i,
                              raw.p_offset + raw.p_filesz, file_.size()));
    }
    const bool executable = (raw.p_flags & PF_X) != 0;
    const Segment segment{raw.p_vaddr, raw.p_memsz, raw.p_offset, raw.p_filesz, executable, (raw.p_flags & PF_W) != 0};
    if (raw.p_type == PT_LOAD) {
      loads_.push_back(segment);
      code = code || (executable && raw.p_filesz != 0);
    } else if (raw.p_type == PT_DYNAMIC) {
      dynamic_ = segment;
    } else {
      notes_.push_back(*bytes);
    }
  }
  if (!code) {
    return fail(ErrorKind::kMalformed, "ELF: no executable segment");
  }
  return {};
}

Result<void> Image::read_sections() {
  const Elf64_Ehdr header = *file_.read<Elf64_Ehdr>(0);
  if (header.e_shnum == 0 || header.e_shoff == 0) {
    return {};
  }
  if (header.e_shentsize != sizeof(Elf64_Shdr) ||
      !file_.sub(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr))) {
    return fail(
        ErrorKind::kMalformed,
        fmt::format("ELF: truncated: the section headers at offset {:#x} are not inside the file of {:#x} bytes",
                    header.e_shoff, file_.size()));
  }
  const auto read = [&](std::size_t index) {
    return *file_.read<Elf64_Shdr>(header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  Bytes names;
  if (header.e_shstrndx < header.e_shnum) {
    const Elf64_Shdr strings = read(header.e_shstrndx);
    names = file_.sub(strings.sh_offset, strings.sh_size).value_or(Bytes());
  }
  sections_.reserve(header.e_shnum);
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr raw = read(i);
    sections_.push_back({names.c_string(raw.sh_name, 256).value_or(std::string_view()), raw.sh_type, raw.sh_flags,
                         raw.sh_addr, raw.sh_offset, raw.sh_size});
  }
  return {};
}

const Section* Image::section(std::string_view name) const {
  const auto found = std::ranges::find(sections_, name, &Section::name);
  return found == sections_.end() ? nullptr : &*found;
}

std::optional<Bytes> Image::contents(const Section& section) const {
  if (section.type == SHT_NOBITS) {
    return std::nullopt;
  }
  return file_.sub(section.offset, section.size);
}

bool Image::has_symbol_table() const {
  return std::ranges::find(sections_, SHT_SYMTAB, &Section::type) != sections_.end();
}

std::optional<Bytes> Image::from(std::uint64_t address) const {
  for (const Segment& segment : loads_) {
    if (segment.holds(address)) {
      const std::uint64_t skip = address - segment.address;
      return file_.sub(segment.offset + skip, segment.file_size - skip);
    }
  }
  return std::nullopt;
}

std::optional<Bytes> Image::at(std::uint64_t address, std::uint64_t size) const {
  const auto rest = from(address);
  return rest ? rest->sub(0, size) : std::nullopt;
}

bool Image::executable(std::uint64_t address) const { return code_offset(address).has_value(); }

std::optional<std::uint64_t> Image::code_offset(std::uint64_t address) const {
  for (const Segment& segment : loads_) {
    if (segment.executable && segment.holds(address)) {
      return segment.offset + (address - segment.address);
    }
  }
  return std::nullopt;
}

std::optional<std::vector<std::uint64_t>> Image::words(std::uint64_t address, std::size_t count) const {
  const auto rest = from(address);
  if (!rest || rest->size() / 8 < count) {
    return std::nullopt;
  }
  std::vector<std::uint64_t> words(count);
  if (count != 0) {
    std::memcpy(words.data(), rest->data(), count * 8);
  }
  relocations_.apply(address, words);
  return words;
}

std::optional<std::uint64_t> Image::word(std::uint64_t address) const {
  if (const auto relocated = relocations_.value(address)) {
    return relocated;
  }
  const auto rest = from(address);
  return rest ? rest->read<std::uint64_t>(0) : std::nullopt;
}

std::uint64_t Image::first_load_address() const {
  const auto lowest = std::ranges::min_element(loads_, {}, &Segment::address);
  return lowest->address / kPageSize * kPageSize;
}

std::optional<Bytes> Image::note(std::string_view owner, std::uint32_t type) const {
  std::vector<Bytes> places = notes_;
  for (const Section& section : sections_) {
    if (section.type == SHT_NOTE) {
      places.push_back(contents(section).value_or(Bytes()));
    }
  }
  const auto padded = [](std::uint64_t size) { return (size + 3) / 4 * 4; };
  for (const Bytes& place : places) {
    std::uint64_t at = 0;
    while (const auto header = place.read<Elf64_Nhdr>(at)) {
      const std::uint64_t name_at = at + sizeof(Elf64_Nhdr);
      const std::uint64_t text_at = name_at + padded(header->n_namesz);
      const auto name = place.sub(name_at, header->n_namesz);
      const auto text = place.sub(text_at, header->n_descsz);
      if (!name || !text) {
        break;
      }
      if (header->n_type == type && name->text().substr(0, name->text().find('\0')) == owner) {
        return text;
      }
      at = text_at + padded(header->n_descsz);
    }
  }
  return std::nullopt;
}

}  // namespace mapwatch::elf
