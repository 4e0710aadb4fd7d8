// Any bytes as .debug_abbrev and .debug_info, plain and compressed: what libdw is asked about a file that nobody
// vouches for.
#include <elf.h>
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "elf/dwarf.h"
#include "elf/image.h"
#include "elf/tiny_go.h"

namespace {

using namespace mapwatch;

constexpr char kNames[] = "\0.debug_abbrev\0.debug_info\0.shstrtab";
constexpr std::size_t kSections = 4;
constexpr std::size_t kSegments = sizeof(Elf64_Ehdr);
constexpr std::size_t kHeaders = kSegments + sizeof(Elf64_Phdr);
constexpr std::size_t kContents = kHeaders + kSections * sizeof(Elf64_Shdr);

class File {
 public:
  File() : bytes_(kContents) {
    Elf64_Ehdr header = test::executable_header();
    header.e_phoff = kSegments;
    header.e_phnum = 1;
    header.e_shoff = kHeaders;
    header.e_shnum = kSections;
    header.e_shstrndx = kSections - 1;
    std::memcpy(bytes_.data(), &header, sizeof(header));
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = PF_R | PF_X;
    segment.p_vaddr = 0x400000;
    segment.p_filesz = segment.p_memsz = kContents;
    std::memcpy(bytes_.data() + kSegments, &segment, sizeof(segment));
    add(3, 27, SHT_STRTAB, 0, reinterpret_cast<const std::uint8_t*>(kNames), sizeof(kNames));
  }

  void add(std::size_t index, std::uint32_t name, std::uint32_t type, std::uint64_t flags, const std::uint8_t* data,
           std::size_t size) {
    Elf64_Shdr section{};
    section.sh_name = name;
    section.sh_type = type;
    section.sh_flags = flags;
    section.sh_offset = bytes_.size();
    section.sh_size = size;
    std::memcpy(bytes_.data() + kHeaders + index * sizeof(section), &section, sizeof(section));
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }

  void add_compressed(std::size_t index, std::uint32_t name, const std::uint8_t* data, std::size_t size) {
    Elf64_Chdr header{};
    header.ch_type = ELFCOMPRESS_ZLIB;
    header.ch_size = size;
    uLongf length = compressBound(size);
    std::vector<std::uint8_t> packed(sizeof(header) + length);
    std::memcpy(packed.data(), &header, sizeof(header));
    if (compress(packed.data() + sizeof(header), &length, data, size) == Z_OK) {
      add(index, name, SHT_PROGBITS, SHF_COMPRESSED, packed.data(), sizeof(header) + length);
    }
  }

  Bytes view() const { return Bytes(bytes_.data(), bytes_.size()); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

// { u8 mode, u8 size of the abbreviations, abbreviations, info }
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::uint8_t mode = data[0];
  const std::size_t abbrev = std::min<std::size_t>(data[1], size - 2);
  File file;
  file.add(1, 1, SHT_PROGBITS, mode & 4 ? SHF_COMPRESSED : 0, data + 2, abbrev);
  if (mode & 1) {
    file.add_compressed(2, 15, data + 2 + abbrev, size - 2 - abbrev);
  } else {
    file.add(2, 15, SHT_PROGBITS, 0, data + 2 + abbrev, size - 2 - abbrev);
  }
  const auto image = elf::Image::parse(file.view());
  if (!image) {
    __builtin_trap();  // the file around the bytes is sound
  }
  (void)elf::dwarf_offsets(*image, mode & 2 ? elf::MapKind::kSwiss : elf::MapKind::kBuckets, {});
  return 0;
}
