#include <gtest/gtest.h>

#include "ops/slo.h"

namespace mapwatch::ops {
namespace {

constexpr const char* kAll = R"(service: orders
window: 28d
warn_below: 10%
objectives:
  - {name: races, kind: hazards, exe: "/srv/*", target: 99.9%}
  - {name: crashes, kind: crashes, most: 0.1/day}
  - {name: cost, kind: overhead, most: 1%}
  - name: success
    kind: ratio
    target: 99.5%
    error_query: sum(rate(http_requests_total{code=~"5.."}[$window]))
    total_query: sum(rate(http_requests_total[$window]))
  - {name: p99, kind: latency, target: 99%, most: 250ms, query: p99_seconds}
)";

std::string error_of(const std::string& text) {
  const auto slo = parse_slo(text, "slo.yaml");
  EXPECT_FALSE(slo) << text;
  EXPECT_TRUE(slo || slo.error().kind == ErrorKind::kUsage);
  return slo ? "" : slo.error().message;
}

std::string with(const std::string& objective) { return "service: a\nobjectives:\n  - " + objective + "\n"; }

TEST(Slo, EachKindOfObjectiveSaysWhatIsAllowed) {
  const auto slo = parse_slo(kAll, "slo.yaml");
  ASSERT_TRUE(slo) << slo.error().message;
  EXPECT_EQ(slo->service, "orders");
  EXPECT_EQ(slo->window_s, 28u * 86'400);
  EXPECT_DOUBLE_EQ(slo->warn_below, 0.1);
  ASSERT_EQ(slo->objectives.size(), 5u);
  EXPECT_NEAR(slo->objectives[0].allowed(), 0.001, 1e-12);
  EXPECT_EQ(slo->objectives[0].exe, "/srv/*");
  EXPECT_DOUBLE_EQ(slo->objectives[1].allowed(), 0.1);
  EXPECT_DOUBLE_EQ(slo->objectives[2].allowed(), 0.01);
  EXPECT_NEAR(slo->objectives[3].allowed(), 0.005, 1e-12);
  EXPECT_NEAR(slo->objectives[4].allowed(), 0.01, 1e-12);
  EXPECT_DOUBLE_EQ(slo->objectives[4].most, 0.25);
}

TEST(Slo, TheWindowIsThirtyDaysUnlessSaid) {
  const auto slo = parse_slo(with("{name: a, kind: crashes, most: 1/week}"), "slo.yaml");
  ASSERT_TRUE(slo) << slo.error().message;
  EXPECT_EQ(slo->window_s, 30u * 86'400);
  EXPECT_NEAR(slo->objectives[0].allowed(), 1.0 / 7, 1e-12);
}

TEST(Slo, ErrorsNameTheLineAndTheWord) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"{name: a, kind: hazards, target: 99.9}", "99.9"},
      {"{name: a, kind: hazards, target: 100%}", "100%"},
      {"{name: a, kind: hazards, target: -1%}", "-1%"},
      {"{name: a, kind: hazards}", "target"},
      {"{name: a, kind: hasards, target: 99%}", "hasards"},
      {"{kind: hazards, target: 99%}", "name"},
      {"{name: a, kind: hazards, target: 99%, most: 1}", "most"},
      {"{name: a, kind: hazards, target: 99%, targte: 99%}", "targte"},
      {"{name: a, kind: hazards, target: 99%, target: 98%}", "target"},
      {"{name: a, kind: crashes, most: 0}", "\"0\""},
      {"{name: a, kind: crashes, most: nan}", "nan"},
      {"{name: a, kind: overhead, most: 101%}", "101%"},
      {"{name: a, kind: latency, target: 99%, most: 250, query: x}", "250"},
      {"{name: a, kind: ratio, target: 99%, error_query: a, total_query: 'b[$window]'}", "error_query"},
      {"{name: a, kind: ratio, target: 99%, error_query: 'a[$window]', total_query: 'b[$window]', exe: x}", "exe"},
      {"just text", "name and a kind"},
  };
  for (const auto& [objective, word] : kWrong) {
    const std::string message = error_of(with(objective));
    EXPECT_NE(message.find(word), std::string::npos) << objective << ": " << message;
    EXPECT_NE(message.find("slo.yaml:3"), std::string::npos) << message;
  }
}

TEST(Slo, WhatIsNoSuchFileIsRefused) {
  for (const char* text :
       {"", "- a", "a", "service: a", "service: a\nobjectives: []", "service: a\nobjectives: 7",
        "service: a\nobjectives: [\n", "\t", "service: &a [*a]", "objectives: [{name: a, kind: crashes, most: 1}]"}) {
    error_of(text);
  }
  error_of(with("{name: a, kind: crashes, most: 1}\n  - {name: a, kind: crashes, most: 1}"));
  error_of("service: a\nwindow: 10m\nobjectives: [{name: a, kind: crashes, most: 1}]");
  error_of("service: a\nwarn_below: 2\nobjectives: [{name: a, kind: crashes, most: 1}]");
}

}  // namespace
}  // namespace mapwatch::ops
