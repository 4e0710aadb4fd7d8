#include "elf/tiny_go.h"

#include <array>

namespace mapwatch::test {

TinyGo::TinyGo(const std::string& version) : bytes_(kSize) {
  write_headers();
  write_pclntab();
  write_types();
  write_module();
  write_build_info(version);
}

Elf64_Ehdr executable_header() {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  return header;
}

void TinyGo::write_headers() {
  Elf64_Ehdr header = executable_header();
  header.e_phoff = kProgramHeaders;
  header.e_phnum = 3;
  put(0, header);
  struct Range {
    std::uint32_t flags;
    std::uint64_t begin, end;
  };
  const std::array<Range, 3> ranges = {
      {{PF_R | PF_X, 0, kPclntab}, {PF_R, kPclntab, kBuildInfo}, {PF_R | PF_W, kBuildInfo, kSize}}};
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = ranges[i].flags;
    segment.p_offset = ranges[i].begin;
    segment.p_vaddr = kBase + ranges[i].begin;
    segment.p_filesz = segment.p_memsz = ranges[i].end - ranges[i].begin;
    put(kProgramHeaders + i * sizeof(segment), segment);
  }
}

std::uint64_t TinyGo::write_values(std::uint64_t at, const std::vector<std::pair<int, unsigned>>& runs) {
  int last = -1;
  for (const auto& [value, length] : runs) {
    const int delta = value - last;
    put(at++, static_cast<std::uint8_t>(delta < 0 ? (-delta << 1) - 1 : delta << 1));
    put(at++, static_cast<std::uint8_t>(length));
    last = value;
  }
  return at + 1;  // a zero delta ends the table
}

void TinyGo::write_pclntab() {
  put(kPclntab, std::uint32_t{0xfffffff1});
  put(kPclntab + 6, std::uint8_t{1});
  put(kPclntab + 7, std::uint8_t{8});
  const std::uint64_t units = 0x180;
  const std::uint64_t files = 0x190;
  const std::array<std::uint64_t, 8> words = {2,     1,     kBase + kText,      kNames - kPclntab,
                                              units, files, kValues - kPclntab, kFunctions - kPclntab};
  for (std::size_t i = 0; i < words.size(); ++i) {
    put(kPclntab + 8 + 8 * i, words[i]);
  }
  put_text(kNames + 1, "main.main");
  put_text(kNames + 16, "runtime.mapassign_faststr");
  put_text(kNames + 48, "main.inner[go.shape.int]");
  put_text(kPclntab + files, "/src/main.go");

  // Offset 0 of the values means "no table".
  const std::uint64_t file = kValues + 1;
  const std::uint64_t line = write_values(file, {{0, 64}});
  const std::uint64_t inlined = write_values(line, {{10, 16}, {20, 16}, {11, 32}});
  const std::uint64_t depth = write_values(inlined, {{-1, 16}, {0, 16}, {-1, 32}});
  write_values(depth, {{0, 4}, {24, 56}, {0, 4}});
  // The first delta of a table may be zero: the value stays -1.
  const auto offset = [](std::uint64_t at) { return static_cast<std::uint32_t>(at - kValues); };

  const std::uint32_t main_func = 24;
  const std::uint32_t assign_func = 96;
  const std::array<std::uint32_t, 5> functab = {0, main_func, 64, assign_func, 96};
  put(kFunctions, functab);
  // entryoff, nameoff, args, deferreturn, pcsp, pcfile, pcln, npcdata, cuOffset, startLine, ids, pcdata, funcdata
  const std::array<std::uint32_t, 18> main_record = {0,
                                                     1,
                                                     0,
                                                     0,
                                                     offset(depth),
                                                     offset(file),
                                                     offset(line),
                                                     3,
                                                     0,
                                                     9,
                                                     4U << 24,
                                                     0,
                                                     0,
                                                     offset(inlined),
                                                     ~0U,
                                                     ~0U,
                                                     ~0U,
                                                     static_cast<std::uint32_t>(kInlineTree - kTypes)};
  put(kFunctions + main_func, main_record);
  const std::array<std::uint32_t, 11> assign_record = {64, 16, 0, 0, 0, offset(file), 0, 0, 0, 1, 0};
  put(kFunctions + assign_func, assign_record);
  // inlinedCall: funcID and padding, nameOff, parentPc, startLine
  const std::array<std::uint32_t, 4> call = {0, 48, 8, 19};
  put(kInlineTree, call);
}

void TinyGo::write_types() {
  put(kMapType + 20, std::uint8_t{2});   // tflagExtraStar
  put(kMapType + 23, std::uint8_t{21});  // map
  put(kMapType + 40, static_cast<std::uint32_t>(kTypeName - kTypes));
  put(kTypeName + 1, std::uint8_t{15});
  put_text(kTypeName + 2, "*map[string]int");
}

void TinyGo::write_module() {
  put(kModule, kBase + kPclntab);
  put(kModule + 8, kBase + kNames);
  put(kModule + 13 * 8, kBase + kFunctions);
  put(kModule + 176, kBase + kText);
  put(kModule + 184, kBase + kTextEnd);
  put(kModule + 296, kBase + kTypes);       // types, Go 1.20 to 1.26
  put(kModule + 304, kBase + kInlineTree);  // etypes
  put(kModule + 320, kBase + kTypes);       // gofunc
}

void TinyGo::write_build_info(const std::string& version) {
  put_text(kBuildInfo, "\xff Go buildinf:");
  put(kBuildInfo + 14, std::uint8_t{8});
  put(kBuildInfo + 15, std::uint8_t{2});
  const std::string mark(16, '#');
  const std::string modules = mark + "path\texample.com/tiny\nbuild\t-race=true\nbuild\tGOFLAGS=\"a b\"\n" + mark;
  put(kBuildInfo + 32, static_cast<std::uint8_t>(version.size()));
  put_text(kBuildInfo + 33, version);
  put(kBuildInfo + 33 + version.size(), static_cast<std::uint8_t>(modules.size()));
  put_text(kBuildInfo + 34 + version.size(), modules);
}

}  // namespace mapwatch::test
