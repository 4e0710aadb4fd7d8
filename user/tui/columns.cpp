#include "tui/columns.h"

#include <fmt/format.h>

#include "tui/words.h"

namespace mapwatch::tui {

namespace {

std::uint64_t ago(const Target& target) { return target.last_ns.value_or(kNever); }

std::string of_watched(const Target& target, std::string text) { return target.watched ? std::move(text) : "-"; }

// clang-format off
constexpr Column<Target> kTargets[] = {
    {"PID", 7, false, 0, [](const Target& t) { return std::to_string(t.pid); },
     [](const Target& a, const Target& b) { return a.pid < b.pid; }},
    {"COMM", 15, true, 0, [](const Target& t) { return t.comm; },
     [](const Target& a, const Target& b) { return a.comm < b.comm; }},
    {"GO", 7, true, 5, [](const Target& t) { return t.go; },
     [](const Target& a, const Target& b) { return a.go < b.go; }},
    {"MODE", 10, true, 4, [](const Target& t) { return of_watched(t, t.mode); },
     [](const Target& a, const Target& b) { return a.mode < b.mode; }},
    {"MAP OPS/s", 9, false, 0, [](const Target& t) { return of_watched(t, short_count(t.ops_per_s, t.estimated)); },
     [](const Target& a, const Target& b) { return a.ops_per_s.value_or(-1) > b.ops_per_s.value_or(-1); }},
    {"WRITES/s", 8, false, 7, [](const Target& t) { return of_watched(t, short_count(t.writes_per_s, t.estimated)); },
     [](const Target& a, const Target& b) { return a.writes_per_s.value_or(-1) > b.writes_per_s.value_or(-1); }},
    {"HITS/s", 6, false, 3, [](const Target& t) { return of_watched(t, short_count(t.hits_per_s)); },
     [](const Target& a, const Target& b) { return a.hits_per_s > b.hits_per_s; }},
    {"COST%", 5, false, 0, [](const Target& t) { return of_watched(t, percent(t.cost_share)); },
     [](const Target& a, const Target& b) { return a.cost_share > b.cost_share; }},
    {"/BUD", 4, true, 6, [](const Target& t) { return of_watched(t, "/" + percent(t.budget)); },
     [](const Target& a, const Target& b) { return a.cost_share * b.budget > b.cost_share * a.budget; }},
    {"ARMED%", 6, false, 1, [](const Target& t) { return of_watched(t, percent(t.armed_share)); },
     [](const Target& a, const Target& b) { return a.armed_share < b.armed_share; }},
    {"SITES", 11, true, 8, [](const Target& t) { return of_watched(t, fmt::format("{} {}", t.sites, t.by_calls ? "calls" : "funcs")); },
     [](const Target& a, const Target& b) { return a.sites > b.sites; }},
    {"HAZARDS", 9, false, 0, [](const Target& t) { return tally_text(t.hazards); },
     [](const Target& a, const Target& b) { return a.hazards.all > b.hazards.all; }},
    {"CRASH", 5, false, 5, [](const Target& t) { return std::to_string(t.crashes); },
     [](const Target& a, const Target& b) { return a.crashes > b.crashes; }},
    {"LAST", 5, false, 2, [](const Target& t) { return t.last_ns ? short_time(*t.last_ns) : "-"; },
     [](const Target& a, const Target& b) { return ago(a) < ago(b); }},
    {"AGE", 6, false, 9, [](const Target& t) { return short_time(t.age_ns); },
     [](const Target& a, const Target& b) { return a.age_ns < b.age_ns; }},
    {"STATE", 8, true, 0, [](const Target& t) { return t.state; },
     [](const Target& a, const Target& b) { return a.state < b.state; }},
};

constexpr Column<Site> kSites[] = {
    {"HITS", 7, false, 3, [](const Site& s) { return short_count(static_cast<double>(s.hits)); },
     [](const Site& a, const Site& b) { return a.hits > b.hits; }},
    {"HITS/s", 6, false, 0, [](const Site& s) { return short_count(s.hits_per_s); },
     [](const Site& a, const Site& b) { return a.hits_per_s > b.hits_per_s; }},
    {"OPS/s", 6, false, 2, [](const Site& s) { return short_count(s.ops_per_s); },
     [](const Site& a, const Site& b) { return a.ops_per_s > b.ops_per_s; }},
    {"ARMED", 8, true, 4, [](const Site& s) { return s.place; },
     [](const Site& a, const Site& b) { return a.place < b.place; }},
    {"TIME%", 5, false, 0, [](const Site& s) { return percent(s.armed_share); },
     [](const Site& a, const Site& b) { return a.armed_share < b.armed_share; }},
    {"COST%", 5, false, 1, [](const Site& s) { return percent(s.cost_share); },
     [](const Site& a, const Site& b) { return a.cost_share > b.cost_share; }},
    {"SEEN IN", 7, false, 0, [](const Site& s) { return detection_text(s.detect_ns); },
     [](const Site& a, const Site& b) { return a.detect_ns.value_or(0) > b.detect_ns.value_or(0); }},
    {"OP", 7, true, 0, [](const Site& s) { return s.op; },
     [](const Site& a, const Site& b) { return a.op < b.op; }},
    {"FUNCTION", 20, true, 0, [](const Site& s) { return place_text(s.function, s.file, s.line); },
     [](const Site& a, const Site& b) { return a.function < b.function; }},
};
// clang-format on

}  // namespace

std::span<const Column<Target>> target_columns() { return kTargets; }
std::span<const Column<Site>> site_columns() { return kSites; }

}  // namespace mapwatch::tui
