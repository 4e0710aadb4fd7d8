#include "arch/prologue.h"

#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::arch {
namespace {

using test::Code;

constexpr std::uint64_t kAddress = 0x401000;
constexpr std::size_t kSize = 0x800;

struct Prologue {
  const char* from;  ///< where the bytes are from
  const char* hex;
  SiteKind kind;
  unsigned offset;
  const char* mnemonic;
};

// As the compilers of the last patch of each version wrote them (plain builds unless noted).
constexpr Prologue kPrologues[] = {
    {"1.17 runtime.mapassign", "493b6610 0f86e0040000 4883ec78 48896c2470 488d6c2470", SiteKind::kStackCheck, 4, "jbe"},
    {"1.17 reflect.mapdelete", "493b6610 762e 4883ec20 48896c2418 488d6c2418", SiteKind::kStackCheck, 4, "jbe"},
    {"1.17 -race runtime.mapassign", "4c8d6424f8 4d3b6610 0f86e0040000 4881ec88000000 4889ac2480000000",
     SiteKind::kStackCheck, 9, "jbe"},
    {"1.17 runtime.newproc1", "493b6618 0f86e0020000 4883ec48 48896c2440", SiteKind::kStackCheck, 4, "jbe"},
    {"1.18 runtime.mapiternext", "493b6610 0f86e2040000 4883ec68 48896c2460 488d6c2460 488b5818", SiteKind::kStackCheck,
     4, "jbe"},
    {"1.19 runtime.mapassign", "493b6610 0f86e0040000 4883c480 48896c2478 488d6c2478", SiteKind::kStackCheck, 4, "jbe"},
    {"1.20 -N -l runtime.mapaccess1_faststr", "4c8d6424e0 4d3b6610 0f8600030000 4881eca0000000 4889ac2498000000",
     SiteKind::kStackCheck, 9, "jbe"},
    {"1.21 runtime.mapassign", "493b6610 0f86e0040000 55 4889e5 4883ec78", SiteKind::kPush, 0xa, "push"},
    {"1.21 reflect.mapaccess", "493b6610 762e 55 4889e5 4883ec20", SiteKind::kPush, 6, "push"},
    {"1.21 runtime.fatal", "55 4889e5 4883ec30", SiteKind::kPush, 0, "push"},
    {"1.22 runtime.mapclone2", "4c8d6424e8 4d3b6610 0f8600030000 55 4889e5", SiteKind::kPush, 0xf, "push"},
    {"1.23 -N -l runtime.mapclone2", "4c8d6424b8 4d3b6610 0f8600030000 55 4889e5", SiteKind::kPush, 0xf, "push"},
    {"1.24 (*Iter).Next", "493b6610 0f8647060000 55 4889e5 4883ec40", SiteKind::kPush, 0xa, "push"},
    {"1.25 runtime.mapassign", "4c8d6424c8 4d3b6610 0f8600030000 55 4889e5", SiteKind::kPush, 0xf, "push"},
    {"1.26 -N -l runtime.mapassign_faststr", "4c8d6424a8 4d3b6610 0f8600030000 55 4889e5", SiteKind::kPush, 0xf,
     "push"},
    {"1.27 runtime.mapaccess1_fast32", "493b6610 761e 55 4889e5 4883ec18", SiteKind::kPush, 6, "push"},
    {"1.17, 16 KB frame", "4989e4 4981ec803e0000 0f8200010000 4d3b6610 0f86e0040000 4881ec00400000",
     SiteKind::kStackCheck, 0x14, "jbe"},
    {"1.27, 16 KB frame", "4989e4 4981ec803e0000 0f8200010000 4d3b6610 0f86e0040000 55 4889e5", SiteKind::kPush, 0x1a,
     "push"},
};

TEST(PrologueSiteTest, EveryVersion) {
  for (const Prologue& prologue : kPrologues) {
    Code code(prologue.hex);
    code.pad(kSize);
    const auto site = find_prologue_site(code.bytes(), kAddress);
    ASSERT_TRUE(site) << prologue.from << ": " << site.error();
    EXPECT_EQ(site->kind, prologue.kind) << prologue.from;
    EXPECT_EQ(site->instruction.address, kAddress + prologue.offset) << prologue.from;
    EXPECT_EQ(site->instruction.mnemonic, prologue.mnemonic) << prologue.from;
    EXPECT_TRUE(site->instruction.emulated) << prologue.from;
  }
}

std::string refusal(const char* hex, std::size_t size = kSize) {
  Code code(hex);
  code.pad(size);
  const auto site = find_prologue_site(code.bytes(), kAddress);
  return site ? "accepted" : site.error();
}

TEST(PrologueSiteTest, RefusesWhatWouldLoseAnArgumentOrStoresFirst) {
  // ABI0: g from thread-local storage to RCX.
  EXPECT_EQ(refusal("64488b0c25f8ffffff 483b6110 76e0 55"),
            "no prologue of a Go function: mov at +0x0 instead of the comparison with the stack guard");
  EXPECT_NE(refusal("4883ec28 48896c2420 488d6c2420"), "accepted");       // 1.17 runtime.throw: no check
  EXPECT_NE(refusal("4889c3 493b6610 0f8600010000 55"), "accepted");      // mov rbx, rax first
  EXPECT_NE(refusal("488d4424e8 493b6610 0f8600010000 55"), "accepted");  // lea rax
  EXPECT_NE(refusal("4c8d6424e8 493b6610 0f8600010000 55"), "accepted");  // compares RSP, not R12
  EXPECT_NE(refusal("493b6620 0f8600010000 55"), "accepted");             // another field of g
  EXPECT_NE(refusal("493b6510 0f8600010000 55"), "accepted");             // R13 is not g
  EXPECT_NE(refusal("4c8d642408 4d3b6610 0f8600010000 55"), "accepted");  // lea +8(%rsp)
  EXPECT_NE(refusal("493b6610 4889042400 0f8600010000 55"), "accepted");  // a store before the jump
}

TEST(PrologueSiteTest, RefusesOtherJumps) {
  EXPECT_EQ(refusal("493b6610 0f8700010000 55"),
            "no prologue of a Go function: jnbe at +0x4 instead of jbe to where the stack grows");
  EXPECT_NE(refusal("493b6610 0f8600100000 55"), "accepted");  // out of the function
  EXPECT_NE(refusal("493b6610 76fa 55"), "accepted");          // back into the check
  // A big frame without its second check.
  EXPECT_NE(refusal("4989e4 4981ec803e0000 0f8200010000 55"), "accepted");
  EXPECT_NE(refusal("4989e4 4981ec803e0000 0f8600010000 4d3b6610 0f86e0040000 55"), "accepted");
}

TEST(PrologueSiteTest, RefusesTruncatedCode) {
  for (const Prologue& prologue : kPrologues) {
    const Code whole(prologue.hex);
    for (std::size_t length = 0; length < prologue.offset; ++length) {
      const auto site = find_prologue_site(*whole.bytes().sub(0, length), kAddress);
      EXPECT_FALSE(site && site->instruction.address - kAddress + site->instruction.length > length) << prologue.from;
    }
  }
  EXPECT_EQ(find_prologue_site(Bytes(), kAddress).error(),
            "no prologue of a Go function: no instruction at +0x0 instead of the comparison with the stack guard");
}

}  // namespace
}  // namespace mapwatch::arch
