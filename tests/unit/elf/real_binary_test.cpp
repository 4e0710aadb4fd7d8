// GoBinary on programs that Go itself has just built, against what the program says of itself when it runs
// (tracebacks, reflect's type names) and against `go tool nm`.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "elf/go_binary.h"
#include "elf/go_program.h"
#include "elf/mapped_file.h"

namespace mapwatch::elf {
namespace {

using test::BuildMode;

class RealBinary : public testing::TestWithParam<BuildMode> {
 protected:
  void SetUp() override {
    path_ = test::built_program(GetParam());
    auto file = MappedFile::open(path_);
    ASSERT_TRUE(file) << file.error().message;
    file_.emplace(std::move(*file));
    auto binary = GoBinary::parse(file_->bytes());
    ASSERT_TRUE(binary) << binary.error().message;
    binary_.emplace(std::move(*binary));
  }

  const GoBinary& binary() const { return *binary_; }
  bool is_stripped() const { return !GetParam().twin.empty(); }
  bool inlines() const { return GetParam().name != "unoptimised"; }

  /// What the program prints, by line; and the load bias of that run.
  std::vector<std::string> run(std::uint64_t& bias) const {
    std::istringstream output(test::output_of("GOTRACEBACK=system " + path_));
    std::vector<std::string> lines;
    for (std::string line; std::getline(output, line);) {
      lines.push_back(line);
    }
    std::istringstream first(lines.empty() ? "" : lines[0]);
    std::string word;
    std::uint64_t address = 0;
    first >> word >> std::hex >> address;
    EXPECT_EQ(word, "main");
    const auto main = binary().find("main.main");
    EXPECT_TRUE(main);
    bias = main ? address - main->entry : 0;
    return lines;
  }

  std::string path_;
  std::optional<MappedFile> file_;
  std::optional<GoBinary> binary_;
};

TEST_P(RealBinary, KnowsHowItWasBuilt) {
  std::istringstream version(test::output_of(test::go_command() + " version"));
  std::string word;
  version >> word >> word >> word;
  EXPECT_TRUE(binary().version().text.starts_with(word)) << binary().version().text << " " << word;
  EXPECT_EQ(word, "go1." + std::to_string(binary().version().minor) +
                      (binary().version().patch != 0 ? "." + std::to_string(binary().version().patch) : ""));
  EXPECT_FALSE(binary().unverified());
  EXPECT_EQ(binary().main_path(), "example.com/elf.test/program");
  EXPECT_FALSE(binary().build_id().empty());
  EXPECT_EQ(binary().traits().stripped, is_stripped());
  EXPECT_EQ(binary().traits().dwarf, !is_stripped());
  EXPECT_EQ(binary().traits().pie, GetParam().pie);
  EXPECT_EQ(binary().traits().cgo, GetParam().cgo);
  EXPECT_FALSE(binary().traits().race);
}

TEST_P(RealBinary, FindsTheMapFunctions) {
  for (const char* name : {"runtime.mapassign_faststr", "runtime.mapdelete_faststr", "runtime.throw", "main.main"}) {
    const auto function = binary().find(name);
    ASSERT_TRUE(function) << name;
    EXPECT_EQ(function->name, name);
    const auto code = binary().code(function->entry, function->end);
    ASSERT_TRUE(code);
    const auto offset = binary().file_offset(function->entry);
    ASSERT_TRUE(offset);
    EXPECT_EQ(code->data(), file_->bytes().data() + *offset);
    EXPECT_EQ(binary().at(function->entry)->name, name);
    EXPECT_EQ(binary().at(function->end - 1)->name, name);
  }
  EXPECT_EQ(binary().find("internal/runtime/maps.(*Map).Delete").has_value(), binary().map_kind() == MapKind::kSwiss);
  EXPECT_EQ(binary().find("runtime.mapaccessK").has_value(), binary().map_kind() == MapKind::kBuckets);
  EXPECT_FALSE(binary().find("main.absent"));
  EXPECT_FALSE(binary().at(1));
  EXPECT_FALSE(binary().code(1, 2));
  EXPECT_FALSE(binary().file_offset(1));
}

TEST_P(RealBinary, FramesAreThoseOfGosTraceback) {
  std::uint64_t bias = 0;
  const std::vector<std::string> lines = run(bias);
  std::vector<SourceFrame> chain;  // inlined frames that wait for their physical function
  std::size_t physical = 0;
  std::size_t inlined = 0;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const std::string& call = lines[i];
    const std::string& place = lines[i + 1];
    const std::size_t arguments = call.rfind('(');
    const std::size_t colon = place.rfind(':');
    if (arguments == std::string::npos || !place.starts_with('\t') || colon == std::string::npos) {
      continue;
    }
    const std::size_t plus = place.find(" +0x");
    SourceFrame frame;
    frame.func = call.substr(0, arguments);
    frame.file = place.substr(1, colon - 1);
    frame.line = std::stoi(place.substr(colon + 1));
    chain.push_back(frame);
    if (plus == std::string::npos) {
      ++inlined;
      continue;
    }
    // The physical name of a generic function has its type arguments; look for the function that prints so and has
    // the expected frames.
    const std::uint64_t offset = std::stoull(place.substr(plus + 4), nullptr, 16);
    bool matched = false;
    std::string seen;
    for (const Function& function : binary().functions()) {
      if (function.name.substr(0, function.name.find('[')) != frame.func.substr(0, frame.func.find('['))) {
        continue;
      }
      const auto frames = binary().frames(function.entry + offset - 1);
      matched = matched || (frames.size() == chain.size() && std::equal(frames.begin(), frames.end(), chain.begin(),
                                                                        [](const SourceFrame& a, const SourceFrame& b) {
                                                                          return a.func == b.func && a.file == b.file &&
                                                                                 a.line == b.line;
                                                                        }));
      for (const SourceFrame& one : frames) {
        seen += "\n  " + one.func + " " + one.file + ":" + std::to_string(one.line);
      }
    }
    EXPECT_TRUE(matched) << call << "\n" << place << "\nread:" << seen;
    chain.clear();
    ++physical;
  }
  EXPECT_GE(physical, 4U);
  if (inlines()) {
    EXPECT_GE(inlined, 1U);
  } else {
    EXPECT_EQ(inlined, 0U);
  }
}

TEST_P(RealBinary, TypeNamesAreThoseOfReflect) {
  std::uint64_t bias = 0;
  std::size_t types = 0;
  for (const std::string& line : run(bias)) {
    if (!line.starts_with("type ")) {
      continue;
    }
    const std::size_t space = line.find(' ', 5);
    const std::uint64_t address = std::stoull(line.substr(5, space - 5), nullptr, 16) - bias;
    const auto name = binary().type_name(address);
    ASSERT_TRUE(name) << line << ": " << name.error().message;
    EXPECT_EQ(*name, line.substr(space + 1));
    EXPECT_FALSE(binary().type_name(address + 4));
    ++types;
  }
  EXPECT_GE(types, 10U);
  EXPECT_FALSE(binary().type_name(0));
  EXPECT_FALSE(binary().type_name(binary().find("main.main")->entry));
}

class StrippedBinary : public RealBinary {};

TEST_P(StrippedBinary, FunctionsAreThoseOfItsTwin) {
  const auto file = MappedFile::open(test::built_program(test::build_mode(GetParam().twin)));
  ASSERT_TRUE(file);
  const auto twin = GoBinary::parse(file->bytes());
  ASSERT_TRUE(twin);
  ASSERT_EQ(binary().functions().size(), twin->functions().size());
  for (std::size_t i = 0; i < twin->functions().size(); ++i) {
    EXPECT_EQ(binary().functions()[i].name, twin->functions()[i].name);
  }
}

class SymbolBinary : public RealBinary {};

TEST_P(SymbolBinary, FunctionsAreThoseOfNm) {
  std::multimap<std::uint64_t, std::string> symbols;
  std::istringstream output(test::output_of(test::go_command() + " tool nm " + path_));
  for (std::string line; std::getline(output, line);) {
    std::istringstream words(line);
    std::uint64_t address = 0;
    std::string kind;
    if (words >> std::hex >> address >> kind >> std::ws) {
      std::string name;
      std::getline(words, name);
      if (kind == "T" || kind == "t") {
        symbols.emplace(address, name);
      }
    }
  }
  ASSERT_GT(symbols.size(), 1000U);
  std::size_t equal = 0;
  for (const Function& function : binary().functions()) {
    const auto [first, last] = symbols.equal_range(function.entry);
    bool found = false;
    for (auto it = first; it != last; ++it) {
      // nm marks ABI0 twins and spells type arguments as the linker does.
      const std::string plain = it->second.substr(0, it->second.find(".abi0"));
      const std::string_view base = function.name.substr(0, function.name.find('['));
      found = found || plain == function.name || plain.substr(0, plain.find('[')) == base;
    }
    equal += found ? 1 : 0;
  }
  // A few entries have other names in the symbol table (linker's marks such as runtime.text).
  EXPECT_GE(equal + 20, binary().functions().size());
}

TEST_P(RealBinary, OffsetsFromDwarfAreThoseOfTheTable) {
  const auto stripped_file = MappedFile::open(test::built_program(test::build_mode("stripped")));
  ASSERT_TRUE(stripped_file);
  const auto stripped = GoBinary::parse(stripped_file->bytes());
  ASSERT_TRUE(stripped);
  const Offsets table = stripped->offsets();
  const Offsets& read = binary().offsets();
  EXPECT_EQ(table.source, OffsetSource::kTable);
  EXPECT_EQ(read.source, is_stripped() ? OffsetSource::kTable : OffsetSource::kDwarf);
  EXPECT_EQ(read.g_goid, table.g_goid);
  EXPECT_EQ(read.g_gopc, table.g_gopc);
  EXPECT_EQ(read.g_m, table.g_m);
  EXPECT_EQ(read.g_stack_lo, table.g_stack_lo);
  EXPECT_EQ(read.g_stack_hi, table.g_stack_hi);
  EXPECT_EQ(read.m_curg, table.m_curg);
  EXPECT_EQ(read.map_mark, table.map_mark);
  EXPECT_EQ(read.map_mark_mask, table.map_mark_mask);
  EXPECT_EQ(read.map_len, table.map_len);
  EXPECT_EQ(read.map_seed, table.map_seed);
  EXPECT_EQ(read.iter_map, table.iter_map);
  EXPECT_EQ(read.iter_type, table.iter_type);
}

std::vector<BuildMode> modes(bool stripped) {
  std::vector<BuildMode> chosen;
  for (const BuildMode& mode : test::build_modes()) {
    if (mode.twin.empty() != stripped) {
      chosen.push_back(mode);
    }
  }
  return chosen;
}

std::string mode_name(const testing::TestParamInfo<BuildMode>& mode) { return mode.param.name; }

INSTANTIATE_TEST_SUITE_P(Modes, RealBinary, testing::ValuesIn(test::build_modes()), mode_name);
INSTANTIATE_TEST_SUITE_P(Modes, StrippedBinary, testing::ValuesIn(modes(true)), mode_name);
INSTANTIATE_TEST_SUITE_P(Modes, SymbolBinary, testing::ValuesIn(modes(false)), mode_name);

}  // namespace
}  // namespace mapwatch::elf
