#include "metrics/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mapwatch::metrics {
namespace {

Process process(std::uint32_t tgid, const std::string& exe = "/srv/orders") {
  Process out;
  out.tgid = tgid;
  out.start_time = 100 + tgid;
  out.exe = exe;
  out.go_version = "go1.26.8";
  out.mode = "auto 1/200";
  out.overhead = 0.002;
  out.budget = 0.01;
  return out;
}

Snapshot filled(const Ledger& ledger) {
  Snapshot out;
  ledger.fill(out);
  return out;
}

Exe exe(const Ledger& ledger, const std::string& label) {
  const Snapshot now = filled(ledger);
  const auto found = std::ranges::find(now.exes, label, &Exe::label);
  EXPECT_NE(found, now.exes.end()) << label;
  return found == now.exes.end() ? Exe{} : *found;
}

bool has(const Ledger& ledger, const std::string& label) {
  const Snapshot now = filled(ledger);
  return std::ranges::find(now.exes, label, &Exe::label) != now.exes.end();
}

TEST(Ledger, TotalsOutliveTheirProcesses) {
  Ledger ledger;
  ledger.tick(10, std::vector{process(1)});
  ledger.tick(11, std::vector{process(1)});
  ledger.hazard("/srv/orders", 1, "mw-1", "read_write", "proven");
  ledger.hazard("/srv/orders", 1, "mw-1", "read_write", "proven");
  ledger.crash("/srv/orders", 1, "write_write", 41'000'000, true);
  ledger.tick(12, {});
  ledger.tick(5000, {});
  const Exe orders = exe(ledger, "/srv/orders");
  EXPECT_EQ(orders.hazards[1][0], 2u);
  EXPECT_EQ(orders.crashes[0], 1u);
  EXPECT_DOUBLE_EQ(orders.watched_s, 2);
  EXPECT_DOUBLE_EQ(orders.hazard_s, 1);
  EXPECT_EQ(orders.processes, 0u);
  EXPECT_TRUE(orders.infos.empty());
  const Snapshot now = filled(ledger);
  EXPECT_EQ(now.hazard_sites, 1u);
  EXPECT_EQ(now.dossiers, (Counts<kDossiers>{1, 0, 0}));
  EXPECT_EQ(now.frozen.count(), 1u);
}

TEST(Ledger, SecondsWithHazardsAreNeverMoreThanThoseWatched) {
  Ledger ledger;
  ledger.tick(1, {});
  ledger.hazard("/a", 7, "mw-1", "write_write", "imminent");  // came and crashed between two ticks
  ledger.tick(2, {});
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").hazard_s, 1);
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").watched_s, 1);
  ledger.hazard("/a", 8, "mw-1", "write_write", "imminent");
  ledger.tick(3, std::vector{process(8, "/a")});  // came since, and still runs
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").hazard_s, 2);
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").watched_s, 2);
}

TEST(Ledger, WhatCrashedBetweenTwoTicksWasWatchedAllTheSame) {
  Ledger ledger;
  ledger.tick(1, {});
  ledger.crash("/a", 7, "write_write", std::nullopt, false);
  ledger.tick(2, {});
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").watched_s, 1) << "crashes by time watched are no number, else";
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").hazard_s, 0);
  ledger.tick(3, {});
  EXPECT_DOUBLE_EQ(exe(ledger, "/a").watched_s, 1);
}

TEST(Ledger, TimeIsOfEachProcessAndNotBeforeItCame) {
  Ledger ledger;
  ledger.tick(1, {});
  ledger.tick(4, std::vector{process(1), process(2)});
  EXPECT_DOUBLE_EQ(exe(ledger, "/srv/orders").watched_s, 0);
  ledger.tick(6, std::vector{process(1), process(2)});
  EXPECT_DOUBLE_EQ(exe(ledger, "/srv/orders").watched_s, 4);
  Process reused = process(2);
  reused.start_time = 999;
  ledger.tick(7, std::vector{process(1), reused});
  EXPECT_DOUBLE_EQ(exe(ledger, "/srv/orders").watched_s, 5);
  ledger.tick(6.5, std::vector{process(1), reused});  // a clock that goes back counts nothing
  EXPECT_DOUBLE_EQ(exe(ledger, "/srv/orders").watched_s, 5);
}

TEST(Ledger, OverheadIsOfTheProcessNearestToItsBudget) {
  Ledger ledger;
  Process cheap = process(1);
  Process near = process(2);
  near.overhead = 0.0019;
  near.budget = 0.002;
  near.seen_share = 0.25;
  near.go_version = "go1.25.1";
  ledger.tick(1, std::vector{cheap, near, cheap});
  const Exe orders = exe(ledger, "/srv/orders");
  EXPECT_EQ(orders.processes, 3u);
  EXPECT_DOUBLE_EQ(orders.overhead, 0.0019);
  EXPECT_DOUBLE_EQ(orders.budget, 0.002);
  EXPECT_DOUBLE_EQ(orders.seen_share, 0.25);
  EXPECT_EQ(orders.infos, (std::set<TargetInfo>{{"go1.25.1", "auto", "watched"}, {"go1.26.8", "auto", "watched"}}));
}

TEST(Ledger, LabelsAreBoundedAndOnesWithFindingsStay) {
  Ledger ledger;
  ledger.crash("/found", 99999, "no such class", std::nullopt, false);
  std::vector<Process> all;
  for (std::uint32_t i = 0; i < Ledger::kMostExes + 50; ++i) {
    all.push_back(process(i, "/exe" + std::to_string(i)));
  }
  ledger.tick(1, all);
  ledger.tick(2, all);
  const Snapshot now = filled(ledger);
  EXPECT_EQ(now.exes.size(), Ledger::kMostExes + 1);
  EXPECT_EQ(now.exes.back().label, "other");
  EXPECT_EQ(now.exes.back().processes, 51u);
  EXPECT_EQ(exe(ledger, "/found").crashes[kReasons.size() - 1], 1u);
  EXPECT_TRUE(has(ledger, "/exe0"));

  // Their places go to those that run now, whatever came to "other" stays there.
  std::vector<Process> fresh = {process(1, "/fresh")};
  ledger.tick(3, fresh);
  EXPECT_TRUE(has(ledger, "/fresh"));
  EXPECT_GT(filled(ledger).exes.back().watched_s, 0);
  ledger.tick(3 + Ledger::kForgetS + 1, fresh);
  EXPECT_FALSE(has(ledger, "/exe0"));
  EXPECT_TRUE(has(ledger, "/found"));
}

TEST(Ledger, ARunningExecutableKeepsItsLabelAtTheTickThatBringsOthers) {
  Ledger ledger;
  std::vector<Process> all;
  for (std::uint32_t i = 0; i < Ledger::kMostExes; ++i) {
    all.push_back(process(1000 + i, "/old" + std::to_string(i)));
  }
  ledger.tick(1, all);
  all.insert(all.begin(), process(1, "/new"));
  ledger.tick(2, all);
  EXPECT_FALSE(has(ledger, "/new"));
  for (std::uint32_t i = 0; i < Ledger::kMostExes; ++i) {
    EXPECT_DOUBLE_EQ(exe(ledger, "/old" + std::to_string(i)).watched_s, 1);
  }
}

TEST(Ledger, NamesThatDifferBeyondTheLimitAreOneLabel) {
  Ledger ledger;
  const std::string stem = "/" + std::string(4000, 'x');
  ledger.suppressed(stem + "1");
  ledger.suppressed(stem + "2");
  const Snapshot now = filled(ledger);
  ASSERT_EQ(now.exes.size(), 1u);
  EXPECT_LE(now.exes[0].label.size(), Ledger::kMostLabel);
  EXPECT_EQ(now.exes[0].suppressed, 2u);
}

TEST(Ledger, LostFindingsAreAStage) {
  Ledger ledger;
  ledger.lost();
  EXPECT_EQ(filled(ledger).lost[*place_of(kStages, "export")], 1u);
}

}  // namespace
}  // namespace mapwatch::metrics
