// The sources of memory: this very process, a snapshot, a core built byte by byte.
#include <gtest/gtest.h>

#include <elf.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "forensics/core_memory.h"
#include "forensics/live_memory.h"
#include "forensics/original_bytes.h"
#include "forensics/snapshot_memory.h"

namespace mapwatch::forensics {
namespace {

std::vector<std::uint8_t> counting(std::size_t size, std::uint8_t first = 0) {
  std::vector<std::uint8_t> bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

TEST(LiveMemory, ReadsManyRangesAndTellsWhichFailed) {
  const auto memory = LiveMemory::open(getpid());
  ASSERT_TRUE(memory) << memory.error().message;
  const std::vector<std::uint8_t> bytes = counting(200);
  // More than one system call takes, with unreadable ones at both ends, in the middle and next to each other.
  constexpr std::size_t kCount = 3000;
  const auto bad = [](std::size_t i) { return i == 0 || i == 1023 || i == 1024 || i == 1025 || i == kCount - 1; };
  std::vector<std::vector<std::uint8_t>> into(kCount, std::vector<std::uint8_t>(3));
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < kCount; ++i) {
    requests.push_back({bad(i) ? 0xdead000 : address_of(bytes.data()) + i % 100, into[i], false});
  }
  memory->read_many(requests);
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(requests[i].ok, !bad(i)) << i;
    if (!bad(i)) {
      ASSERT_EQ(into[i][2], i % 100 + 2) << i;
    }
  }
}

TEST(LiveMemory, ReadsAcrossAHoleFail) {
  const long page = sysconf(_SC_PAGESIZE);
  auto* two =
      static_cast<std::uint8_t*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(two, MAP_FAILED);
  munmap(two + page, page);
  const auto memory = LiveMemory::open(getpid());
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->word(address_of(two) + page - 8));
  EXPECT_FALSE(memory->word(address_of(two) + page - 4));
  EXPECT_FALSE(memory->word(~std::uint64_t{0} - 3));
  munmap(two, page);
}

TEST(LiveMemory, HasTheMappings) {
  const auto memory = LiveMemory::open(getpid());
  ASSERT_TRUE(memory);
  bool found = false;
  for (const Mapping& mapping : memory->mappings()) {
    const std::uint64_t here = address_of(reinterpret_cast<const void*>(&counting));
    found = found || (here >= mapping.begin && here < mapping.end && mapping.executable && !mapping.path.empty());
  }
  EXPECT_TRUE(found);
}

TEST(LiveMemory, NoSuchProcess) {
  const auto memory = LiveMemory::open(0x3fffffff);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().message.find("1073741823"), std::string::npos);
}

TEST(SnapshotMemory, JoinsPiecesThatTouchAndLetsLaterOnesWin) {
  SnapshotMemory memory;
  memory.add(100, counting(10));
  memory.add(110, counting(10, 10));
  std::vector<std::uint8_t> out(20);
  ASSERT_TRUE(memory.read(100, out));
  EXPECT_EQ(out, counting(20));
  EXPECT_FALSE(memory.read(99, out));
  EXPECT_FALSE(memory.read(101, out));
  memory.add(105, {77, 78});  // inside the first
  memory.add(98, {1, 2, 3});  // over its beginning
  ASSERT_TRUE(memory.read(98, out));
  EXPECT_EQ(out[2], 3);
  EXPECT_EQ(out[3], 1);
  EXPECT_EQ(out[7], 77);
  EXPECT_EQ(out[8], 78);
  EXPECT_EQ(out[9], 7);
  EXPECT_EQ(out[19], 17);
}

TEST(SnapshotMemory, CopiesWhatCanBeRead) {
  SnapshotMemory from;
  from.add(0x1000, counting(64));
  const Range ranges[] = {{0x1000, 0x1010}, {0x1030, 0x1050}, {5, 5}, {9, 3}};
  const SnapshotMemory memory = SnapshotMemory::copy(from, ranges);
  EXPECT_EQ(memory.get<std::uint8_t>(0x100f), 15);
  EXPECT_FALSE(memory.get<std::uint8_t>(0x1010));
  EXPECT_FALSE(memory.get<std::uint8_t>(0x1030));  // that range reaches beyond what is there
}

TEST(OriginalBytes, BreakpointsAreUndone) {
  SnapshotMemory inner;
  inner.add(0x1000, {0x10, 0xCC, 0x12, 0xCC, 0x14});
  const OriginalBytes memory(inner, {{0x1001, 0x55}, {0x1002, 0x99}, {0x2000, 1}});
  std::vector<std::uint8_t> out(5);
  ASSERT_TRUE(memory.read(0x1000, out));
  // 0x1002 has no breakpoint any more, the 0xCC at 0x1003 is the program's own.
  EXPECT_EQ(out, (std::vector<std::uint8_t>{0x10, 0x55, 0x12, 0xCC, 0x14}));
  std::vector<std::uint8_t> one(1);
  ReadRequest request{0x1001, one, false};
  memory.read_many({&request, 1});
  EXPECT_TRUE(request.ok);
  EXPECT_EQ(one[0], 0x55);
}

/// A core of one thread: a dumped page at 0x10000, and a page of the program's file at 0x400000 that is not dumped.
std::vector<std::uint8_t> small_core() {
  std::vector<std::uint8_t> core(0x3000);
  const auto put = [&](std::size_t at, const auto& value) { std::memcpy(core.data() + at, &value, sizeof(value)); };
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof(header);
  header.e_phnum = 3;
  header.e_phentsize = sizeof(Elf64_Phdr);
  put(0, header);

  std::size_t at = 0x400;
  const auto note = [&](std::uint32_t type, const void* text, std::size_t size) {
    put(at, Elf64_Nhdr{5, static_cast<std::uint32_t>(size), type});
    std::memcpy(core.data() + at + 12, "CORE", 5);
    std::memcpy(core.data() + at + 20, text, size);
    at += 20 + (size + 3) / 4 * 4;
  };
  elf_prstatus status{};
  status.pr_pid = 4711;
  status.pr_reg[16] = 0x400123;  // rip
  status.pr_reg[19] = 0x10ff0;   // rsp
  status.pr_reg[4] = 0x10ff8;    // rbp
  note(NT_PRSTATUS, &status, sizeof(status));
  const std::uint64_t auxv[] = {AT_ENTRY, 0x400100, AT_NULL, 0};
  note(NT_AUXV, auxv, sizeof(auxv));
  std::vector<std::uint8_t> files(5 * 8);
  const std::uint64_t words[] = {1, 0x1000, 0x400000, 0x401000, 1};
  std::memcpy(files.data(), words, sizeof(words));
  const char path[] = "/bin/program";
  files.insert(files.end(), path, path + sizeof(path));
  note(NT_FILE, files.data(), files.size());

  put(64, Elf64_Phdr{PT_NOTE, 0, 0x400, 0, 0, at - 0x400, 0, 4});
  put(64 + 56, Elf64_Phdr{PT_LOAD, PF_R | PF_W, 0x1000, 0x10000, 0, 0x1000, 0x1000, 0x1000});
  put(64 + 112, Elf64_Phdr{PT_LOAD, PF_R | PF_X, 0x2000, 0x400000, 0, 0, 0x1000, 0x1000});
  put(0x1ff8, std::uint64_t{0x1122334455667788});
  return core;
}

TEST(CoreMemory, ReadsDumpedPagesTheProgramsFileAndRegisters) {
  const std::vector<std::uint8_t> core = small_core();
  std::vector<std::uint8_t> program(0x2000);
  program[0x1123] = 0xAB;
  const auto memory = CoreMemory::parse(Bytes(core.data(), core.size()), Bytes(program.data(), program.size()));
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->word(0x10ff8), 0x1122334455667788U);
  EXPECT_FALSE(memory->word(0x10ffc));
  EXPECT_EQ(memory->get<std::uint8_t>(0x400123), 0xAB);  // file offset 0x1000 + 0x123
  EXPECT_FALSE(memory->get<std::uint8_t>(0x401000));
  EXPECT_EQ(memory->executable_path(), "/bin/program");
  ASSERT_TRUE(memory->registers().contains(4711));
  EXPECT_EQ(memory->registers().at(4711).pc, 0x400123U);
  EXPECT_EQ(memory->registers().at(4711).sp, 0x10ff0U);
  EXPECT_EQ(memory->registers().at(4711).bp, 0x10ff8U);
  ASSERT_EQ(memory->mappings().size(), 2U);
  EXPECT_EQ(memory->mappings()[1].path, "/bin/program");
  EXPECT_EQ(memory->mappings()[1].file_offset, 0x1000U);
}

/// The smallest executable: one read-only segment of one page at file offset 0x1000, for address 0x1000.
std::vector<std::uint8_t> small_program(std::uint64_t entry) {
  std::vector<std::uint8_t> program(0x2000);
  Elf64_Ehdr header{};
  header.e_entry = entry;
  header.e_phoff = sizeof(header);
  header.e_phnum = 1;
  header.e_phentsize = sizeof(Elf64_Phdr);
  const Elf64_Phdr segment{PT_LOAD, PF_R | PF_X, 0x1000, 0x1000, 0, 0x1000, 0x1000, 0x1000};
  std::memcpy(program.data(), &header, sizeof(header));
  std::memcpy(program.data() + sizeof(header), &segment, sizeof(segment));
  program[0x1123] = 0xAB;
  return program;
}

TEST(CoreMemory, TheEntryPointTellsWhereAPieWasLoadedWhenNoFilesAreListed) {
  std::vector<std::uint8_t> core = small_core();
  const auto type_of = [&](std::uint32_t type) {  // the note's third word
    for (std::size_t at = 0x400; at < 0x1000; at += 4) {
      std::uint32_t words[3];
      std::memcpy(words, core.data() + at, sizeof(words));
      if (words[0] == 5 && words[2] == type) {
        return at + 8;
      }
    }
    return std::size_t{0};
  };
  const std::uint32_t unknown = 0x444C5645;
  std::memcpy(core.data() + type_of(NT_FILE), &unknown, sizeof(unknown));
  const Bytes bytes(core.data(), core.size());

  const std::vector<std::uint8_t> program = small_program(0x1100);
  const auto memory = CoreMemory::parse(bytes, Bytes(program.data(), program.size()));
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->load_bias().value_or(0), 0x3ff000U);
  EXPECT_EQ(memory->get<std::uint8_t>(0x400123), 0xAB);
  EXPECT_EQ(memory->word(0x10ff8), 0x1122334455667788U);

  const std::vector<std::uint8_t> other = small_program(0x1abc);
  const auto mixed = CoreMemory::parse(bytes, Bytes(other.data(), other.size()));
  ASSERT_TRUE(mixed) << mixed.error().message;
  ASSERT_FALSE(mixed->load_bias());
  EXPECT_EQ(mixed->load_bias().error().kind, ErrorKind::kMalformed);

  std::memcpy(core.data() + type_of(NT_AUXV), &unknown, sizeof(unknown));
  const auto silent = CoreMemory::parse(bytes, Bytes(program.data(), program.size()));
  ASSERT_TRUE(silent) << silent.error().message;
  EXPECT_FALSE(silent->load_bias());
}

TEST(CoreMemory, EveryTruncationIsReadOrRefused) {
  const std::vector<std::uint8_t> core = small_core();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < core.size(); size += 7) {
    const std::vector<std::uint8_t> cut(core.begin(), core.begin() + static_cast<std::ptrdiff_t>(size));
    const auto memory = CoreMemory::parse(Bytes(cut.data(), cut.size()), Bytes());
    refused += !memory;
    if (memory) {
      EXPECT_EQ(memory->word(0x10ff8).has_value(), size >= 0x2000) << size;
    }
  }
  EXPECT_GT(refused, 0U);
}

TEST(CoreMemory, EverySpoiledByteIsReadOrRefused) {
  const std::vector<std::uint8_t> core = small_core();
  for (std::size_t at = 0; at < 0x800; ++at) {
    for (const std::uint8_t value : {0x00, 0x7f, 0xff}) {
      std::vector<std::uint8_t> spoiled = core;
      spoiled[at] = value;
      const auto memory = CoreMemory::parse(Bytes(spoiled.data(), spoiled.size()), Bytes());
      if (memory) {
        (void)memory->word(0x10ff8);
        (void)memory->word(~std::uint64_t{0} - 7);
      }
    }
  }
}

TEST(CoreMemory, RefusesOtherFiles) {
  std::vector<std::uint8_t> core = small_core();
  core[offsetof(Elf64_Ehdr, e_type)] = ET_EXEC;
  const auto program = CoreMemory::parse(Bytes(core.data(), core.size()), Bytes());
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().kind, ErrorKind::kMalformed);
  core = small_core();
  core[offsetof(Elf64_Ehdr, e_machine)] = EM_AARCH64;
  const auto other = CoreMemory::parse(Bytes(core.data(), core.size()), Bytes());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace mapwatch::forensics
