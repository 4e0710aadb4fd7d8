#include "app/found.h"

#include <gtest/gtest.h>

namespace mapwatch::app {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kNow = 1'000'000 * kSecond;

correlate::Hazard hazard(const std::string& id, std::uint64_t time_ns, std::uint64_t count = 1) {
  correlate::Hazard out;
  out.id = id;
  out.tgid = 42;
  out.time_ns = time_ns;
  out.count = count;
  out.map = 0xc000;
  out.accesses[0].op = MW_OP_READ;
  out.accesses[1].op = MW_OP_WRITE;
  return out;
}

report::Report written(const std::string& id, std::uint64_t count = 1) {
  report::HazardReport out;
  out.id = id;
  out.count = count;
  out.map.type = "map[string]int";
  symbolize::Frame runtime;
  runtime.func = "runtime.mapassign_faststr";
  symbolize::Frame user;
  user.func = "main.put";
  user.file = "cache.go";
  user.line = 7;
  user.user = true;
  out.accesses[0].op = MW_OP_READ;
  out.accesses[1].op = MW_OP_WRITE;
  out.accesses[1].stack = {runtime, user};
  return out;
}

tui::Target row(const Found& found, std::uint64_t now_ns = kNow) {
  tui::Target target;
  target.pid = 42;
  target.state = "ok";
  found.fill(target, now_ns);
  return target;
}

TEST(Found, NothingIsNoNews) {
  const Found found;
  EXPECT_EQ(row(found).state, "ok");
  EXPECT_FALSE(row(found).last_ns);
}

TEST(Found, CountsEachSightingAndNamesBothSides) {
  Found found;
  found.note(hazard("mw-1", kNow - 7200 * kSecond), report::Published::kWritten, written("mw-1"));
  found.note(hazard("mw-1", kNow - 300 * kSecond, 2), report::Published::kRepeat, std::nullopt);
  found.note(hazard("mw-2", kNow - 5 * kSecond), report::Published::kWritten, written("mw-2"));
  const tui::Target target = row(found);
  EXPECT_EQ(target.hazards.minute, 1u);
  EXPECT_EQ(target.hazards.hour, 2u);
  EXPECT_EQ(target.hazards.all, 3u);
  EXPECT_EQ(target.last_ns, 5 * kSecond);
  EXPECT_EQ(target.state, "! proven");
  ASSERT_EQ(target.found.size(), 2u);
  EXPECT_EQ(target.found[0].id, "mw-2") << "the last one first";
  EXPECT_EQ(target.found[1].seen.all, 2u);
  EXPECT_EQ(target.found[1].map_type, "map[string]int");
  EXPECT_EQ(target.found[1].sides[0].op, "read");
  EXPECT_EQ(target.found[1].sides[0].func, "");
  EXPECT_EQ(target.found[1].sides[1].func, "main.put");
  EXPECT_EQ(target.found[1].sides[1].line, 7);
  EXPECT_EQ(found.reports().size(), 2u);
}

TEST(Found, SuppressedOnesAreNotShown) {
  Found found;
  found.note(hazard("mw-1", kNow), report::Published::kSuppressed, std::nullopt);
  EXPECT_EQ(row(found).hazards.all, 0u);
}

TEST(Found, ACrashStays) {
  Found found;
  correlate::Crash crash;
  crash.tgid = 42;
  crash.time_ns = kNow - 3 * kSecond;
  crash.reason = "concurrent map writes";
  found.note(crash, report::Published::kWritten, report::Report(report::CrashReport{}));
  EXPECT_TRUE(row(found).crashed);
  EXPECT_EQ(row(found).crashes, 1u);
  EXPECT_EQ(row(found).state, "CRASHED: concurrent map writes");
  found.forget(42);
  EXPECT_FALSE(row(found).crashed);
}

TEST(Found, IsBounded) {
  Found found;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    correlate::Hazard each = hazard("mw-" + std::to_string(i), kNow);
    found.note(each, report::Published::kWritten, written(each.id));
    each.tgid = 100 + i;
    found.note(each, report::Published::kRepeat, std::nullopt);
  }
  EXPECT_EQ(row(found).found.size(), Found::kMostHazards);
  EXPECT_EQ(row(found).hazards.all, 5000u);
  EXPECT_LE(found.reports().size(), 256u);
  tui::Target last;
  last.pid = 100 + 4999;
  found.fill(last, kNow);
  EXPECT_EQ(last.hazards.all, 0u) << "more processes than are kept";
}

}  // namespace
}  // namespace mapwatch::app
