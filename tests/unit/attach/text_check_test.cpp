#include "attach/text_check.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mapwatch::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kBias = 0x550000000000;

/// Memory of single bytes at addresses.
class Memory {
 public:
  void put(std::uint64_t address, const arch::InstructionBytes& bytes) {
    for (const std::uint8_t byte : bytes.span()) {
      bytes_[address++] = byte;
    }
  }
  MemoryReader reader() const {
    return [this](std::uint64_t address, std::span<std::uint8_t> out) {
      for (std::uint8_t& byte : out) {
        const auto at = bytes_.find(address++);
        if (at == bytes_.end()) {
          return false;
        }
        byte = at->second;
      }
      return true;
    };
  }

 private:
  std::map<std::uint64_t, std::uint8_t> bytes_;
};

ProbeSpec probe(std::uint64_t address, const arch::InstructionBytes& bytes) {
  ProbeSpec spec;
  spec.function = address == 10 ? "runtime.f10" : "runtime.f20";
  spec.address = address;
  spec.bytes = bytes;
  return spec;
}

class TextCheckTest : public testing::Test {
 protected:
  TextCheckTest() {
    plan.probes = {probe(10, {0x55}), probe(20, {0x0f, 0x86, 1, 2, 0, 0})};
    for (const ProbeSpec& spec : plan.probes) {
      file.put(spec.address, spec.bytes);
      process.put(spec.address + kBias, spec.bytes);
    }
  }
  Result<TextNotes> verify() const { return verify_bytes(plan, file.reader(), process.reader(), kBias); }

  Plan plan;
  Memory file;
  Memory process;
};

TEST_F(TextCheckTest, UntouchedTextIsFine) {
  const auto notes = verify();
  ASSERT_TRUE(notes) << notes.error().message;
  EXPECT_THAT(notes->already_probed, IsEmpty());
  EXPECT_THAT(notes->notes, IsEmpty());
}

TEST_F(TextCheckTest, SomebodyElsesBreakpointIsANote) {
  process.put(20 + kBias, {0xcc});
  const auto notes = verify();
  ASSERT_TRUE(notes);
  EXPECT_THAT(notes->already_probed, ElementsAre(1U));
  EXPECT_THAT(notes->notes, ElementsAre(HasSubstr("runtime.f20 at 0x14 has a breakpoint already")));
}

TEST_F(TextCheckTest, OtherTextInTheProcessIsRefused) {
  process.put(20 + kBias + 3, {0x99});
  ASSERT_FALSE(verify());
  EXPECT_EQ(verify().error().kind, ErrorKind::kGone);
  EXPECT_THAT(verify().error().message, HasSubstr("is 0f 86 01 99 00 00, 0f 86 01 02 00 00 in the file"));
  // A breakpoint's first byte does not excuse the others.
  process.put(20 + kBias, {0xcc});
  EXPECT_FALSE(verify());
  process.put(20 + kBias, {0x0f, 0x86, 1, 2});
  process.put(10 + kBias, {0x54});
  EXPECT_FALSE(verify());
}

TEST_F(TextCheckTest, AFileThatChangedIsRefused) {
  file.put(10, {0x54});
  ASSERT_FALSE(verify());
  EXPECT_THAT(verify().error().message, HasSubstr("the executable changed"));
}

TEST_F(TextCheckTest, TextThatCannotBeReadIsRefused) {
  EXPECT_THAT(verify_bytes(plan, file.reader(), process.reader(), kBias + 1).error().message, HasSubstr("cannot read"));
  EXPECT_FALSE(verify_bytes(plan, Memory().reader(), process.reader(), kBias));
}

TEST_F(TextCheckTest, ASpecWithoutBytesIsRefused) {
  plan.probes = {probe(10, {})};
  EXPECT_FALSE(verify());
}

// Probes that lie close together are read at once; a hole among them costs nothing but the saving.
TEST_F(TextCheckTest, ManyProbesAreReadTogether) {
  plan.probes.clear();
  Memory text;
  for (std::uint64_t address = 0x1000; address < 0x41000; address += 0x100) {
    plan.probes.push_back(probe(address, {0xe8, 1, 2, 3, 4}));
    for (std::uint64_t at = address; at < address + 0x100; ++at) {
      text.put(at, {0x90});
      text.put(at + kBias, {0x90});
    }
    text.put(address, plan.probes.back().bytes);
    text.put(address + kBias, plan.probes.back().bytes);
  }
  std::size_t reads = 0;
  const auto counted = [&](std::uint64_t address, std::span<std::uint8_t> out) {
    ++reads;
    return text.reader()(address, out);
  };
  const auto notes = verify_bytes(plan, text.reader(), counted, kBias);
  ASSERT_TRUE(notes) << notes.error().message;
  EXPECT_LE(reads, 6U);
  text.put(0x3f000 + kBias, {0xcc});
  EXPECT_THAT(verify_bytes(plan, text.reader(), counted, kBias)->already_probed, ElementsAre(0x3e0U));
  EXPECT_EQ(silent_sites(plan, counted, kBias).size(), plan.probes.size() - 1);
  text.put(0x3f004 + kBias, {0xcc});
  EXPECT_FALSE(verify_bytes(plan, text.reader(), counted, kBias));
}

TEST_F(TextCheckTest, SilentSitesAreThoseWithoutABreakpoint) {
  EXPECT_THAT(silent_sites(plan, process.reader(), kBias), ElementsAre(0U, 1U));
  process.put(10 + kBias, {0xcc});
  EXPECT_THAT(silent_sites(plan, process.reader(), kBias), ElementsAre(1U));
  process.put(20 + kBias, {0xcc});
  EXPECT_THAT(silent_sites(plan, process.reader(), kBias), IsEmpty());
  EXPECT_THAT(silent_sites(plan, process.reader(), 0), ElementsAre(0U, 1U));  // unreadable
}

}  // namespace
}  // namespace mapwatch::attach
