#include "report/builder.h"

#include <gtest/gtest.h>

#include "symbolize/fake_symbolizer.h"

namespace mapwatch::report {
namespace {

correlate::Hazard hazard() {
  correlate::Hazard out;
  out.id = "mw-00000001";
  out.tgid = 7;
  out.time_ns = 1'000;
  out.map = 0xc000;
  out.map_type = 0x40;
  out.map_len = 3;
  out.accesses[0].op = MW_OP_READ;
  out.accesses[0].goid = 5;
  out.accesses[0].gopc = 0x77;
  out.accesses[0].stack = {0x10, 0x20};
  out.accesses[1].op = MW_OP_WRITE;
  out.accesses[1].goid = 1;
  out.accesses[1].gopc = 0x78;
  out.accesses[1].attribution = correlate::Attribution::kLastWriter;
  out.accesses[1].stack = {0x30};
  return out;
}

TEST(Builder, Hazard) {
  symbolize::FakeSymbolizer symbols;
  Subject subject;
  subject.info.exe = "/srv/app";
  subject.wall_offset_ns = 500;
  const HazardReport report = build_hazard(hazard(), symbols, subject);
  EXPECT_EQ(report.wall_ns, 1'500);
  EXPECT_EQ(report.process.exe, "/srv/app");
  EXPECT_EQ(report.map.type, "map[string]main.T40");
  EXPECT_EQ(report.map.len, 3u);
  ASSERT_EQ(report.accesses[0].stack.size(), 2u);
  EXPECT_EQ(report.accesses[0].stack[1].func, "main.f20");
  ASSERT_TRUE(report.accesses[0].created_by);
  EXPECT_EQ(report.accesses[0].created_by->func, "main.at77");
  ASSERT_EQ(report.accesses[1].stack.size(), 1u);
  EXPECT_EQ(report.accesses[1].stack[0].func, "main.at30") << "a last writer's PC is a return address";
  EXPECT_FALSE(report.accesses[1].created_by) << "the main goroutine";
}

TEST(Builder, PrefersTheRealTypeToAShape) {
  symbolize::FakeSymbolizer symbols;
  correlate::Hazard shaped = hazard();
  shaped.map_type = 0x41;
  EXPECT_EQ(build_hazard(shaped, symbols, {}).map.type, "map[go.shape.string]int");
  shaped.map_type_other = 0x42;
  EXPECT_EQ(build_hazard(shaped, symbols, {}).map.type, "map[string]main.T42");
  shaped.map_type = 0;
  EXPECT_EQ(build_hazard(shaped, symbols, {}).map.type, "map[string]main.T42");
  shaped.map_type_other = 0;
  EXPECT_EQ(build_hazard(shaped, symbols, {}).map.type, "");
}

TEST(Builder, OperationOfACrashByItsStackThenItsClass) {
  const auto stack = [](const char* func) {
    std::vector<symbolize::Frame> frames(3);
    frames[0].func = "runtime.fatal";
    frames[1].func = func;
    frames[2].func = "main.main";
    frames[2].user = true;
    return frames;
  };
  EXPECT_EQ(op_of_stack(stack("runtime.mapassign_fast64ptr")), MW_OP_WRITE);
  EXPECT_EQ(op_of_stack(stack("runtime.mapdelete")), MW_OP_DELETE);
  EXPECT_EQ(op_of_stack(stack("internal/runtime/maps.(*Map).Delete")), MW_OP_DELETE);
  EXPECT_EQ(op_of_stack(stack("internal/runtime/maps.(*Iter).Next")), MW_OP_ITERATE);
  EXPECT_EQ(op_of_stack(stack("runtime.mapiternext")), MW_OP_ITERATE);
  EXPECT_EQ(op_of_stack(stack("runtime.mapaccess2_faststr")), MW_OP_READ);
  EXPECT_EQ(op_of_stack(stack("runtime.gopanic")), MW_OP_NONE);
  std::vector<symbolize::Frame> beyond = stack("main.mine");
  beyond[1].user = true;
  beyond[2].func = "runtime.mapassign";
  EXPECT_EQ(op_of_stack(beyond), MW_OP_NONE) << "a map function beyond the user's own frame is another operation";

  symbolize::FakeSymbolizer symbols;
  correlate::Crash crash;
  crash.crash_class = "iterate_write";
  EXPECT_EQ(build_crash(crash, symbols, {}, {}).op, MW_OP_ITERATE);
  crash.crash_class = "other";
  EXPECT_EQ(build_crash(crash, symbols, {}, {}).op, MW_OP_NONE);
}

HazardReport printed(const char* id, std::uint64_t map, std::uint64_t at_ns) {
  HazardReport report;
  report.id = id;
  report.map.addr = map;
  report.printed_ns = at_ns;
  return report;
}

TEST(PrintedLog, LeadCountsFromTheFirstPrintedHazardOfTheProcess) {
  PrintedLog log;
  EXPECT_FALSE(log.lead(7, 0xc000, 1'000).process_ns);
  log.note(7, printed("a", 0xd000, 300));
  log.note(7, printed("b", 0xc000, 400));
  log.note(7, printed("a", 0xc000, 500));
  log.note(8, printed("c", 0xc000, 100));
  log.note(7, printed("d", 0xe000, 1'001));
  const PrintedLog::Lead lead = log.lead(7, 0xc000, 1'000);
  EXPECT_EQ(lead.process_ns, 700u);
  EXPECT_EQ(lead.map_ns, 600u);
  EXPECT_EQ(lead.ids, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(lead.all.size(), 3u) << "with what was printed after the crash";
  EXPECT_EQ(lead.all[0].printed_ns, 300u) << "the first time";
  EXPECT_EQ(lead.all[0].map, 0xd000u);
  EXPECT_EQ(lead.all[2].id, "d");
  EXPECT_FALSE(log.lead(7, 0xe000, 1'000).map_ns) << "printed after the crash";
  EXPECT_FALSE(log.lead(7, 0, 1'000).map_ns) << "unknown map";
  EXPECT_FALSE(log.lead(7, 0xc000, 300).process_ns) << "not before";
  log.forget_process(7);
  EXPECT_FALSE(log.lead(7, 0xc000, 1'000).process_ns);
}

}  // namespace
}  // namespace mapwatch::report
