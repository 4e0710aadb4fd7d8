// A crash with all that is known of its time, as the tests of the timeline begin with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dossier/timeline.h"

namespace mapwatch::dossier {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kAttached = 100'000 * kMs;
constexpr std::uint64_t kCrash = 112'000 * kMs;
constexpr std::int64_t kWall = 1'795'470'062'123'000'000;  // 2026-11-23T21:41:02.123Z, of the crash

class TimelineTest : public testing::Test {
 protected:
  TimelineTest() {
    crash_.id = "mw-7f3a91c2";
    crash_.reason = "concurrent map writes";
    crash_.time_ns = kCrash;
    crash_.goid = 7;
    crash_.tid = 4033;
    crash_.map.addr = 0xc000;
    crash_.process.pid = 4211;
    facts_.attached = {kAttached, kWall - 12'000 * static_cast<std::int64_t>(kMs), kAttached, 80};
    facts_.crash = {kCrash, kWall, kCrash, 60};
    facts_.let_go_ns = kCrash + 4 * kMs;
    mw_dying calls = {};
    calls.tid = calls.first_tid = calls.go_tid = 4033;
    calls.first_ns = calls.go_ns = kCrash + 5 * kMs;
    calls.exit_ns = kCrash + 7 * kMs;
    calls.exit_status = 2;
    calls.writes = 90;
    calls.bytes = 767;
    facts_.ending.calls = calls;
    facts_.ending.calls_until_ns = kCrash + 8 * kMs;
    facts_.ending.gone_ns = kCrash + 8 * kMs;
    facts_.ending.over = true;
    facts_.witnesses.emplace();
  }
  Timeline build() const { return build_timeline(crash_, facts_); }
  std::vector<std::string> words() const {
    std::vector<std::string> out;
    for (const TimelineEvent& event : build().events) {
      out.emplace_back(moment_word(event.moment));
    }
    return out;
  }
  std::string missing() const {
    std::string out;
    for (const std::string& line : build().missing) {
      out += line + "\n";
    }
    return out;
  }
  void hazard(const char* id, std::uint64_t seen, std::uint64_t printed, std::uint64_t map) {
    crash_.prior.push_back({id, seen, printed, map, {MW_OP_WRITE, MW_OP_READ}});
  }

  report::CrashReport crash_;
  TimelineFacts facts_;
};

}  // namespace mapwatch::dossier
