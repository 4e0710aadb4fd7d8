// Call sites in programs that Go itself has just built, against what `go tool objdump` reads.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "arch/call_sites.h"
#include "elf/go_program.h"
#include "elf/mapped_file.h"

namespace mapwatch::arch {
namespace {

using test::BuildMode;
using Call = std::pair<std::uint64_t, std::string>;  // address, function called

bool is_wanted(std::string_view name) {
  if (name == "runtime.mapinitnoop") {
    return false;  // takes no arguments
  }
  return name.starts_with("runtime.map") || name.starts_with("reflect.map") ||
         name.starts_with("internal/runtime/maps.(*");
}

std::set<Call> calls_by_objdump(const std::string& path) {
  std::set<Call> calls;
  std::istringstream output(test::output_of(test::go_command() + " tool objdump " + path + " | grep -F 'CALL '"));
  for (std::string line; std::getline(output, line);) {
    // "  map.go:42\t0x4a1b2c\te8cfd3f5ff\tCALL runtime.mapassign_fast64(SB)"
    const std::size_t call = line.find("CALL ");
    const std::size_t end = line.find("(SB)");
    const std::size_t address = line.find("0x");
    if (end == std::string::npos || address > call) {
      continue;
    }
    const std::string name = line.substr(call + 5, end - call - 5);
    if (is_wanted(name)) {
      calls.emplace(std::stoull(line.substr(address), nullptr, 16), name);
    }
  }
  return calls;
}

std::set<Call> calls_by_scan(const std::string& path) {
  const auto file = elf::MappedFile::open(path);
  const auto binary = file ? elf::GoBinary::parse(file->bytes()) : Result<elf::GoBinary>(tl::unexpected(file.error()));
  EXPECT_TRUE(binary);
  std::vector<std::uint64_t> targets;
  std::vector<std::string> names;
  for (const elf::Function& function : binary->functions()) {
    if (is_wanted(function.name) && function.end > function.entry) {
      targets.push_back(function.entry);
      names.emplace_back(function.name);
    }
  }
  const auto found = find_call_sites(*binary, targets);
  EXPECT_TRUE(found) << found.error().message;
  std::set<Call> calls;
  for (const CallSite& call : found->calls) {
    calls.emplace(call.address, names[call.target]);
    EXPECT_LE(binary->functions()[call.caller].entry, call.address);
    EXPECT_GT(binary->functions()[call.caller].end, call.address);
    // RBP is the caller's own frame pointer at a call: Go keeps one in every function with a frame, and a call of a
    // function with arguments in registers needs one, to spill them.
    const auto row = binary->unwind_row(call.address);
    EXPECT_TRUE(row && row->sp_delta && *row->sp_delta >= 16) << names[call.target] << std::hex << call.address;
  }
  for (const OtherReference& other : found->others) {
    // The Map's methods stand in its type's method table by offset, never by address.
    ADD_FAILURE() << "reference to " << names[other.target] << " at " << std::hex << other.address;
  }
  return calls;
}

class RealCallSites : public testing::TestWithParam<BuildMode> {};

TEST_P(RealCallSites, AreThoseOfObjdump) {
  const std::set<Call> expected = calls_by_objdump(test::built_program(GetParam()));
  EXPECT_EQ(calls_by_scan(test::built_program(GetParam())), expected);
  EXPECT_GT(expected.size(), 20U);
}

class StrippedCallSites : public testing::TestWithParam<BuildMode> {};

// The stripped twin of a program has its tables elsewhere, but the same code.
TEST_P(StrippedCallSites, AreThoseOfTheTwin) {
  const std::set<Call> twin = calls_by_scan(test::built_program(test::build_mode(GetParam().twin)));
  const std::set<Call> stripped = calls_by_scan(test::built_program(GetParam()));
  EXPECT_EQ(stripped.size(), twin.size());
  EXPECT_TRUE(std::ranges::equal(stripped, twin, {}, &Call::second, &Call::second));
}

std::vector<BuildMode> modes(bool stripped) {
  std::vector<BuildMode> chosen;
  std::ranges::copy_if(test::build_modes(), std::back_inserter(chosen),
                       [&](const BuildMode& mode) { return mode.twin.empty() != stripped; });
  return chosen;
}

std::string mode_name(const testing::TestParamInfo<BuildMode>& mode) { return mode.param.name; }

INSTANTIATE_TEST_SUITE_P(Modes, RealCallSites, testing::ValuesIn(modes(false)), mode_name);
INSTANTIATE_TEST_SUITE_P(Modes, StrippedCallSites, testing::ValuesIn(modes(true)), mode_name);

}  // namespace
}  // namespace mapwatch::arch
