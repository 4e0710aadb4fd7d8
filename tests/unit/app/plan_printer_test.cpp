#include "app/plan_printer.h"

#include <gtest/gtest.h>

namespace mapwatch::app {
namespace {

attach::Plan plan() {
  attach::ProbeSpec write;
  write.op = MW_OP_WRITE;
  write.site_class = MW_SITE_PUSH;
  write.arg = MW_ARG_FUNC;
  write.function = "runtime.mapassign_faststr";
  write.entry = 0x412340;
  write.address = 0x412346;
  write.file_offset = 0x12346;
  write.instruction = "push";
  write.emulated = true;
  attach::ProbeSpec last = write;
  last.op = MW_OP_THROW;
  last.site_class = MW_SITE_ENTRY;
  last.arg = MW_ARG_NONE;
  last.function = "runtime.throw";
  last.entry = last.address = 0x440000;
  last.file_offset = 0x40000;
  last.instruction = "mov";
  last.emulated = false;
  return {{write, last}, {{"runtime.mapdelete", "calls (*Map).Delete, which is probed"}}};
}

TEST(PlanPrinter, Text) {
  EXPECT_EQ(plan_text(plan()),
            "OP       ADDRESS            OFFSET INSN   FUNCTION\n"
            "write    0x412346             +0x6 push   runtime.mapassign_faststr\n"
            "throw    0x440000             +0x0 mov    runtime.throw  (single-stepped)\n"
            "2 probes, 1 functions without one\n"
            "  runtime.mapdelete: calls (*Map).Delete, which is probed\n");
}

TEST(PlanPrinter, Json) {
  EXPECT_EQ(
      plan_json(plan()),
      R"({"schema_version":1,"kind":"probe","op":"write","function":"runtime.mapassign_faststr","offset":6,)"
      R"("address":"0x412346","file_offset":74566,"class":"push","instruction":"push","emulated":true,"arg":"func"})"
      "\n"
      R"({"schema_version":1,"kind":"probe","op":"throw","function":"runtime.throw","offset":0,)"
      R"("address":"0x440000","file_offset":262144,"class":"entry","instruction":"mov","emulated":false,"arg":"none"})"
      "\n"
      R"({"schema_version":1,"kind":"omission","function":"runtime.mapdelete","reason":"calls (*Map).Delete, which is probed"})"
      "\n");
}

}  // namespace
}  // namespace mapwatch::app
