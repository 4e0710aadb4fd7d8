// Layouts and variables of the scheduler on programs that Go has just built: the table, DWARF, the symbol table and
// the code must say the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "elf/go_binary.h"
#include "elf/go_program.h"
#include "elf/mapped_file.h"
#include "elf/runtime_globals.h"
#include "elf/runtime_layout.h"
#include "elf/tiny_go.h"

namespace mapwatch::elf {
namespace {

using test::build_mode;
using test::built_program;

struct Program {
  explicit Program(const std::string& mode)
      : file(std::move(*MappedFile::open(built_program(build_mode(mode))))),
        binary(std::move(*GoBinary::parse(file.bytes()))) {}
  MappedFile file;
  GoBinary binary;
};

template <typename Layout>
std::vector<std::uint32_t> words(const Layout& layout) {
  std::vector<std::uint32_t> all(sizeof(Layout) / 4);
  std::memcpy(all.data(), &layout, sizeof(Layout));
  return all;
}

TEST(RuntimeLayout, DwarfAndTheTableAgree) {
  const Program program("plain");
  const RuntimeLayout dwarf = program.binary.runtime_layout();
  const RuntimeLayout table = table_runtime_layout(program.binary.version().minor);
  EXPECT_EQ(dwarf.source, OffsetSource::kDwarf);
  EXPECT_EQ(words(dwarf.g), words(table.g));
  EXPECT_EQ(words(dwarf.m), words(table.m));
  EXPECT_EQ(words(dwarf.p), words(table.p));
  EXPECT_EQ(words(dwarf.sched), words(table.sched));
  EXPECT_EQ(words(dwarf.sudog), words(table.sudog));
  const RuntimeLayout stripped = Program("stripped").binary.runtime_layout();
  EXPECT_EQ(stripped.source, OffsetSource::kTable);
  EXPECT_EQ(words(stripped.g), words(dwarf.g));
}

TEST(RuntimeLayout, NewerVersionsGetTheNewestEntry) {
  EXPECT_EQ(words(table_runtime_layout(99).g), words(table_runtime_layout(27).g));
  EXPECT_EQ(table_runtime_layout(20).g.parent, kAbsent);
  EXPECT_NE(table_runtime_layout(21).g.parent, kAbsent);
}

TEST(WaitReason, TextsOfTheVersion) {
  EXPECT_EQ(wait_reason(17, 14), "chan receive");
  EXPECT_EQ(wait_reason(19, 20), "sync.Cond.Wait");
  EXPECT_EQ(wait_reason(20, 21), "sync.Mutex.Lock");
  EXPECT_EQ(wait_reason(24, 24), "sync.WaitGroup.Wait");
  EXPECT_EQ(wait_reason(26, 19), "chan receive");
  EXPECT_EQ(wait_reason(99, 19), "chan receive");
  EXPECT_FALSE(wait_reason(17, 200));
}

TEST(RuntimeGlobals, CodeAndTheSymbolTableAgree) {
  const Program named("plain");
  const RuntimeGlobals symbols = named.binary.runtime_globals();
  EXPECT_EQ(symbols.source, GlobalSource::kSymbols);
  // The same file with its symbol table hidden.
  const auto bytes = named.file.bytes().span();
  std::vector<std::byte> hidden(bytes.begin(), bytes.end());
  const std::string_view name(".symtab\0", 8);
  const auto at = std::ranges::search(hidden, std::as_bytes(std::span(name)));
  ASSERT_EQ(at.size(), name.size());
  at.front() = std::byte{'x'};
  const auto bare = GoBinary::parse(Bytes(hidden.data(), hidden.size()));
  ASSERT_TRUE(bare);
  const RuntimeGlobals code = bare->runtime_globals();
  EXPECT_EQ(code.source, GlobalSource::kCode);
  std::set<std::uint64_t> addresses;
  for (const auto member :
       {&RuntimeGlobals::allgs, &RuntimeGlobals::allgptr, &RuntimeGlobals::allglen, &RuntimeGlobals::allm,
        &RuntimeGlobals::allp, &RuntimeGlobals::sched, &RuntimeGlobals::gcphase}) {
    EXPECT_NE(symbols.*member, 0U);
    EXPECT_EQ(symbols.*member, code.*member);
    addresses.insert(symbols.*member);
  }
  EXPECT_EQ(addresses.size(), 7U);
}

TEST(UnwindRow, BadTablesGiveNoDistance) {
  using test::TinyGo;
  const std::uint64_t main = TinyGo::kBase + TinyGo::kMain;
  TinyGo sound;
  const auto binary = GoBinary::parse(sound.view());
  ASSERT_TRUE(binary);
  EXPECT_EQ(binary->unwind_row(main)->sp_delta, 0U);
  EXPECT_EQ(binary->unwind_row(main + 4)->sp_delta, 24U);
  EXPECT_EQ(binary->unwind_row(main + 59)->sp_delta, 24U);
  EXPECT_EQ(binary->unwind_row(main + 60)->sp_delta, 0U);
  EXPECT_FALSE(binary->unwind_row(TinyGo::kBase + TinyGo::kAssign)->sp_delta) << "that one has no table";
  // _func: entryoff, nameoff, args, deferreturn, pcsp
  for (const std::uint32_t pcsp : {0x7fU, 0xffffU, 0x7fffffffU, 0xffffffffU}) {
    TinyGo spoiled;
    spoiled.put(TinyGo::kMainFunc + 16, pcsp);
    const auto odd = GoBinary::parse(spoiled.view());
    ASSERT_TRUE(odd);
    const auto row = odd->unwind_row(main + 10);
    ASSERT_TRUE(row);
    EXPECT_FALSE(row->sp_delta) << pcsp;
    EXPECT_EQ(row->function.name, "main.main");
  }
}

TEST(UnwindRow, KnowsWhereReturnAddressesLie) {
  const Program program("plain");
  const auto main = program.binary.find("main.main");
  ASSERT_TRUE(main);
  const auto entry = program.binary.unwind_row(main->entry);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->sp_delta, 0U) << "at its first instruction a function has pushed nothing yet";
  EXPECT_EQ(entry->function.name, "main.main");
  EXPECT_FALSE(entry->top);
  const auto exit = program.binary.find("runtime.goexit");
  EXPECT_TRUE(program.binary.unwind_row(exit->entry + 1)->top);
  const auto gogo = program.binary.find("runtime.gogo");
  EXPECT_TRUE(program.binary.unwind_row(gogo->entry)->writes_sp || program.binary.unwind_row(gogo->end - 1)->assembly);
  EXPECT_FALSE(program.binary.unwind_row(1));
}

}  // namespace
}  // namespace mapwatch::elf
