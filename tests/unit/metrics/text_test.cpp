#include "metrics/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "metrics/ledger.h"

namespace mapwatch::metrics {
namespace {

std::string text_of(const Snapshot& snapshot) {
  const auto text = to_text(snapshot);
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    out.push_back(line);
  }
  return out;
}

bool says(const std::string& text, const std::string& line) {
  const auto lines = lines_of(text);
  return std::ranges::find(lines, line) != lines.end();
}

/// One of everything.
Snapshot busy() {
  Ledger ledger;
  ledger.tick(1, {});
  Process process;
  process.tgid = 1;
  process.exe = "/srv/orders";
  process.go_version = "go1.26.8";
  process.mode = "full";
  process.overhead = 0.0025;
  process.budget = 0.01;
  ledger.tick(2, std::vector{process});
  ledger.hazard("/srv/orders", 1, "mw-1", "iterate_write", "proven");
  ledger.crash("/srv/orders", 1, "read_write", 41'000'000, true);
  ledger.tick(3, std::vector{process});
  Snapshot out;
  ledger.fill(out);
  out.version = "1.2.3";
  out.time_s = 1795000000.25;
  out.last_event_s = 1795000000;
  out.watched = 1;
  out.probe_hits[1] = 1'234'567'890'123;
  out.lost[0] = 12;
  out.attach_errors[2] = 3;
  out.sends[1].tries[1] = 4;
  out.sends[0].waiting = 5;
  out.commands[2] = 6;
  out.bpf_runs = 7;
  out.bpf_run_s = 0.5;
  out.symbol_cache_bytes = 4096;
  return out;
}

TEST(Text, ValuesStandUnderTheirNames) {
  const std::string text = text_of(busy());
  for (const char* line :
       {R"(mapwatch_hazards_total{exe="/srv/orders",kind="iterate_write",severity="proven"} 1)",
        R"(mapwatch_hazards_total{exe="/srv/orders",kind="clone_write",severity="imminent"} 0)",
        R"(mapwatch_hazard_sites 1)",
        R"(mapwatch_bpf_runs_total 7)",
        R"(mapwatch_bpf_run_seconds_total 0.5)",
        R"(mapwatch_symbol_cache_bytes 4096)",
        R"(mapwatch_crashes_total{exe="/srv/orders",reason="read_write"} 1)",
        R"(mapwatch_watched_seconds_total{exe="/srv/orders"} 1)",
        R"(mapwatch_hazard_seconds_total{exe="/srv/orders"} 1)",
        R"(mapwatch_dossiers_total{result="written"} 1)",
        R"(mapwatch_freeze_duration_seconds_bucket{le="0.025"} 0)",
        R"(mapwatch_freeze_duration_seconds_bucket{le="0.05"} 1)",
        R"(mapwatch_freeze_duration_seconds_bucket{le="+Inf"} 1)",
        R"(mapwatch_target_info{exe="/srv/orders",go_version="go1.26.8",mode="full",state="watched"} 1)",
        R"(mapwatch_overhead_ratio{exe="/srv/orders"} 0.0025)",
        R"(mapwatch_budget_ratio{exe="/srv/orders"} 0.01)",
        R"(mapwatch_targets{state="watched"} 1)",
        R"(mapwatch_attach_errors_total{reason="gone"} 3)",
        R"(mapwatch_probe_hits_total{probe="read"} 1234567890123)",
        R"(mapwatch_events_lost_total{stage="ring"} 12)",
        R"(mapwatch_webhook_sends_total{receiver="alertmanager",result="failed"} 4)",
        R"(mapwatch_webhook_spooled{receiver="webhook"} 5)",
        R"(mapwatch_exec_runs_total{result="timeout"} 6)",
        R"(mapwatch_build_info{version="1.2.3"} 1)",
        R"(mapwatch_snapshot_timestamp_seconds 1795000000.25)",
        R"(# TYPE mapwatch_hazards_total counter)",
        R"(# TYPE mapwatch_hazard_sites gauge)",
        R"(# TYPE mapwatch_attach_duration_seconds histogram)"}) {
    EXPECT_TRUE(says(text, line)) << line << "\n" << text;
  }
}

TEST(Text, KnownLabelsAreThereBeforeAnythingHappened) {
  const std::string text = text_of(Snapshot{});
  for (const auto& [name, label, values] :
       {std::tuple<std::string, std::string, std::vector<std::string_view>>{
            "mapwatch_events_lost_total", "stage", {kStages.begin(), kStages.end()}},
        {"mapwatch_probe_hits_total", "probe", {kProbes.begin(), kProbes.end()}},
        {"mapwatch_probe_attached", "probe", {kProbes.begin(), kProbes.end()}},
        {"mapwatch_attach_errors_total", "reason", {kAttachErrors.begin(), kAttachErrors.end()}},
        {"mapwatch_processes_total", "result", {kProcesses.begin(), kProcesses.end()}},
        {"mapwatch_dossiers_total", "result", {kDossiers.begin(), kDossiers.end()}},
        {"mapwatch_webhook_spooled", "receiver", {kReceivers.begin(), kReceivers.end()}},
        {"mapwatch_exec_runs_total", "result", {kCommands.begin(), kCommands.end()}},
        {"mapwatch_journal_entries_total", "result", {kEntries.begin(), kEntries.end()}}}) {
    for (const std::string_view value : values) {
      const std::string line = name + "{" + label + "=\"" + std::string(value) + "\"} 0";
      EXPECT_TRUE(says(text, line)) << line;
    }
  }
  EXPECT_TRUE(says(text, "mapwatch_freeze_duration_seconds_count 0"));
}

TEST(Text, EachFamilyIsDescribedAndEachSeriesIsThereOnce) {
  const std::string text = text_of(busy());
  std::set<std::string> described;
  std::set<std::string> series;
  static const std::regex kSample(R"(([a-z_]+)(\{[^ ]*\})? [-+0-9.eEaINnf]+)");
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("# HELP ")) {
      EXPECT_TRUE(described.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
      continue;
    }
    if (line.starts_with("# ")) {
      continue;
    }
    std::smatch parts;
    ASSERT_TRUE(std::regex_match(line, parts, kSample)) << line;
    EXPECT_TRUE(series.insert(parts[1].str() + parts[2].str()).second) << line;
    static const std::regex kOfHistogram("_(bucket|sum|count)$");
    const std::string name = parts[1];
    EXPECT_TRUE(described.contains(name) || described.contains(std::regex_replace(name, kOfHistogram, ""))) << line;
    EXPECT_TRUE(name.starts_with("mapwatch_") || name.starts_with("process_")) << line;
  }
}

TEST(Text, OnlyTheseLabelsAreUsed) {
  static const std::regex kLabel(R"re(([a-z_]+)="(?:[^"\\]|\\.)*")re");
  const std::set<std::string> known = {"exe",   "kind",  "severity", "reason",  "result", "go_version", "mode",
                                       "state", "stage", "probe",    "version", "le",     "receiver"};
  const std::string text = text_of(busy());
  for (std::sregex_iterator each(text.begin(), text.end(), kLabel), end; each != end; ++each) {
    EXPECT_TRUE(known.contains((*each)[1])) << (*each)[0];
  }
}

TEST(Text, AHostileNameStaysWithinItsLabel) {
  Ledger ledger;
  ledger.suppressed("/x\" 1\nmapwatch_hazard_sites 99\n\\{}\x1b[2J\xff\xe2\x80\xae");
  Snapshot snapshot;
  ledger.fill(snapshot);
  const std::string text = text_of(snapshot);
  EXPECT_TRUE(says(
      text, R"(mapwatch_suppressed_total{exe="/x\" 1\\x0amapwatch_hazard_sites 99\\x0a\\{}\\x1b[2J\\xff\\u{202e}"} 1)"))
      << text;
  EXPECT_TRUE(says(text, "mapwatch_hazard_sites 0"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\xff'), std::string::npos);
}

TEST(Histogram, AValueAtABoundIsBelowIt) {
  Histogram histogram;
  histogram.add(1'000'000);
  histogram.add(1'000'001);
  histogram.add(3600'000'000'000);
  EXPECT_EQ(histogram.counts().front(), 1u);
  EXPECT_EQ(histogram.counts()[1], 1u);
  EXPECT_EQ(histogram.counts().back(), 1u);
  Histogram twice = histogram;
  twice.add(histogram);
  EXPECT_EQ(twice.count(), 6u);
  EXPECT_DOUBLE_EQ(twice.sum(), 2 * histogram.sum());
}

}  // namespace
}  // namespace mapwatch::metrics
