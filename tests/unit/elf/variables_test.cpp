#include "elf/variables.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "elf/go_program.h"
#include "elf/mapped_file.h"
#include "elf/runtime_globals.h"

namespace mapwatch::elf {
namespace {

class Variables : public testing::TestWithParam<test::BuildMode> {
 protected:
  Variables()
      : file_(std::move(*MappedFile::open(test::built_program(GetParam())))),
        binary_(std::move(*GoBinary::parse(file_.bytes()))) {}

  MappedFile file_;
  GoBinary binary_;
};

// runtime.allgs: where it lies is known in each of these builds, by its symbol or by the code that uses it.
TEST_P(Variables, AreFoundInTheirSectionNamedAndWithTheirUsers) {
  const std::uint64_t allgs = binary_.runtime_globals().allgs;
  ASSERT_NE(allgs, 0U);
  const auto ranges = binary_.variable_ranges();
  EXPECT_TRUE(std::ranges::any_of(ranges, [&](const AddressRange& r) { return r.begin <= allgs && allgs < r.end; }));
  const Variable variable = binary_.variable_at(allgs + 8);
  EXPECT_EQ(variable.section, ".bss");
  EXPECT_EQ(variable.name, binary_.traits().stripped ? "" : "runtime.allgs");
  EXPECT_EQ(variable.offset, binary_.traits().stripped ? 0U : 8U);
  const auto users = binary_.functions_referring_to(allgs, 100);
  EXPECT_TRUE(std::ranges::any_of(users, [](const Function& f) { return f.name == "runtime.forEachG"; }));
  EXPECT_FALSE(std::ranges::any_of(users, [](const Function& f) { return f.name == "main.main"; }));
  EXPECT_EQ(binary_.functions_referring_to(allgs, 1).size(), 1U);
}

TEST_P(Variables, OfNoAddressThereIsNothing) {
  const Variable none = binary_.variable_at(0x10);
  EXPECT_EQ(none.section, "");
  EXPECT_EQ(none.name, "");
  EXPECT_TRUE(binary_.functions_referring_to(0x7fff00000000, 10).empty());
}

INSTANTIATE_TEST_SUITE_P(Builds, Variables,
                         testing::Values(test::build_mode("plain"), test::build_mode("stripped"),
                                         test::build_mode("pie"), test::build_mode("stripped_pie")),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace mapwatch::elf
