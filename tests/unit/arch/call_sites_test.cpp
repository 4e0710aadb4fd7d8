#include "arch/call_sites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::arch {
namespace {

using test::Code;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kBase = 0x401000;
constexpr std::size_t kSize = 0x40;
constexpr std::uint64_t kTarget = kBase;  // function 0

/// Functions of 64 bytes one after another. Function 0 is the target; "T" in a function's code stands for the
/// displacement that leads to it.
class Program {
 public:
  explicit Program(const std::vector<std::string>& codes) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::uint64_t entry = kBase + i * kSize;
      Code code("");
      std::string_view rest = codes[i];
      for (auto at = rest.find('T'); at != rest.npos; at = rest.find('T')) {
        code.append(rest.substr(0, at));
        code.append32(static_cast<std::uint32_t>(kTarget - (entry + code.size() + 4)));
        rest.remove_prefix(at + 1);
      }
      code.append(rest).pad(kSize);
      bytes_.insert(bytes_.end(), code.bytes().span().begin(), code.bytes().span().end());
      functions_.push_back({entry, entry + kSize, "f"});
    }
  }

  CallSites references() const {
    const std::vector<std::uint64_t> targets = {kTarget};
    auto found = find_code_references({{{kBase, Bytes(bytes_)}}, functions_}, targets);
    EXPECT_TRUE(found) << found.error().message;
    return std::move(*found);
  }
  void cover(std::size_t functions) { functions_.resize(functions); }
  void end_at(std::size_t function, std::uint64_t size) {
    functions_[function].end = functions_[function].entry + size;
  }

 private:
  std::vector<std::byte> bytes_;
  std::vector<elf::Function> functions_;
};

std::vector<std::uint64_t> calls(const CallSites& found) {
  std::vector<std::uint64_t> out;
  for (const CallSite& call : found.calls) {
    out.push_back(call.address - kBase);
  }
  return out;
}

std::vector<ReferenceKind> others(const CallSites& found) {
  std::vector<ReferenceKind> out;
  for (const OtherReference& other : found.others) {
    out.push_back(other.kind);
  }
  return out;
}

TEST(CallSites, ACallIsFoundWhereItStands) {
  const CallSites found = Program({"c3", "55 4889e5 e8T 5d c3", "90 e8T e8T"}).references();
  EXPECT_THAT(calls(found), ElementsAre(0x44U, 0x81U, 0x86U));
  EXPECT_THAT(others(found), IsEmpty());
  EXPECT_EQ(found.calls[0].caller, 1U);
  EXPECT_EQ(found.calls[1].caller, 2U);
  EXPECT_EQ(found.calls[2].target, 0U);
}

TEST(CallSites, JumpsAndAddressesAreNoCalls) {
  const CallSites found = Program({"c3", "e9T", "0f84T", "488d05T", "ff15T"}).references();
  EXPECT_THAT(calls(found), IsEmpty());
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kJump, ReferenceKind::kJump, ReferenceKind::kAddress,
                                         ReferenceKind::kAddress));
  EXPECT_EQ(found.others[0].caller, 1U);
  EXPECT_EQ(found.others[0].address, kBase + kSize);
}

// After its stack has grown a function begins again: no new operation. A call of itself is one.
TEST(CallSites, AFunctionMayJumpToItsOwnStart) {
  const CallSites found = Program({"90 e9T e8T 488d05T"}).references();
  EXPECT_THAT(calls(found), ElementsAre(6U));
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kAddress));
}

TEST(CallSites, BytesInsideOfAnInstructionAreNoCall) {
  // movabs $imm64 with the bytes of a call in it; a displacement alone in an immediate says nothing.
  const CallSites found = Program({"c3", "49bb e8T 90cccc", "c7042505T"}).references();
  EXPECT_THAT(calls(found), IsEmpty());
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kMisaligned));
}

TEST(CallSites, APrefixedCallIsNotEmulatedAndNoSite) {
  const CallSites found = Program({"c3", "2ee8T"}).references();
  EXPECT_THAT(calls(found), IsEmpty());
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kJump));
}

TEST(CallSites, TheWholeFunctionMustDecode) {
  const CallSites found = Program({"c3", "e8T 90 06", "e8T 488d05T 06", "e8T"}).references();
  EXPECT_THAT(calls(found), ElementsAre(0xc0U)) << "only in the function that decodes";
  EXPECT_THAT(others(found),
              ElementsAre(ReferenceKind::kUndecoded, ReferenceKind::kUndecoded, ReferenceKind::kUndecoded));
  EXPECT_EQ(found.others[0].caller, 1U);
}

TEST(CallSites, AnInstructionMustEndInItsFunction) {
  Program program({"c3", "90 e8T"});
  program.end_at(1, 4);
  const CallSites found = program.references();
  EXPECT_THAT(calls(found), IsEmpty());
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kUndecoded));
}

TEST(CallSites, CodeOfNoFunctionIsNotTrusted) {
  Program program({"c3", "e8T", "e8T"});
  program.cover(2);
  const CallSites found = program.references();
  EXPECT_THAT(calls(found), ElementsAre(0x40U));
  EXPECT_THAT(others(found), ElementsAre(ReferenceKind::kOutside));
  program.cover(0);
  EXPECT_THAT(others(program.references()), ElementsAre(ReferenceKind::kOutside, ReferenceKind::kOutside));
}

TEST(CallSites, HostileTablesEndInAnError) {
  std::vector<std::byte> code(8);
  const elf::MappedBytes huge = {kBase, Bytes(code.data(), std::size_t{1} << 31)};  // never read
  const std::vector<std::uint64_t> targets = {kTarget};
  EXPECT_EQ(find_code_references({{huge}, {}}, targets).error().kind, ErrorKind::kMalformed);

  Code many("");
  while (many.size() < 140'000 * 5) {
    many.append("e8").append32(static_cast<std::uint32_t>(0 - (many.size() + 4)));
  }
  EXPECT_EQ(find_code_references({{{kBase, many.bytes()}}, {}}, targets).error().kind, ErrorKind::kMalformed);
}

}  // namespace
}  // namespace mapwatch::arch
