#include <cstring>

#include <gtest/gtest.h>

#include "ingest/event.h"

namespace mapwatch::ingest {
namespace {

mw_access_event access_event() {
  mw_access_event event{};
  event.head = {MW_EVENT_ACCESS, sizeof(event), 123, 42, 43, 1, 2};
  event.role = MW_ROLE_VISITOR;
  event.evidence = MW_EVIDENCE_WATCH;
  event.op = MW_OP_WRITE;
  event.site_class = MW_SITE_PUSH;
  event.slot = 5;
  event.generation = 6;
  event.map = 0xc000010000;
  event.goid = 7;
  event.stack.count = 2;
  event.stack.pc[0] = 0x401000;
  event.stack.pc[1] = 0x402000;
  return event;
}

mw_fatal_event fatal_event() {
  mw_fatal_event event{};
  event.head = {MW_EVENT_FATAL, sizeof(event), 123, 42, 43, 1, 2};
  event.op = MW_OP_FATAL;
  event.site_class = MW_SITE_PUSH;
  event.text_len = 5;
  std::memcpy(event.text, "hello", 5);
  event.stack.count = 1;
  event.stack.pc[0] = 0x401000;
  return event;
}

template <typename T>
Result<Event> decode_raw(const T& event, std::size_t size = sizeof(T)) {
  return decode(Bytes(&event, size));
}

TEST(Decode, Access) {
  const auto event = decode_raw(access_event());
  ASSERT_TRUE(event);
  const auto& access = std::get<AccessEvent>(*event);
  EXPECT_EQ(access.head.tgid, 42u);
  EXPECT_EQ(access.head.tid, 43u);
  EXPECT_EQ(access.head.time_ns, 123u);
  EXPECT_EQ(access.role, MW_ROLE_VISITOR);
  EXPECT_EQ(access.op, MW_OP_WRITE);
  EXPECT_EQ(access.slot, 5u);
  EXPECT_EQ(access.generation, 6u);
  EXPECT_EQ(access.stack, (std::vector<std::uint64_t>{0x401000, 0x402000}));
}

TEST(Decode, OtherSideOnlyWhenFlagged) {
  auto raw = access_event();
  raw.other_goid = 9;
  EXPECT_EQ(std::get<AccessEvent>(*decode_raw(raw)).other_goid, 0u);
  raw.flags = MW_ACCESS_OTHER_KNOWN;
  EXPECT_EQ(std::get<AccessEvent>(*decode_raw(raw)).other_goid, 9u);
}

TEST(Decode, StackMayBeSentAsFarAsFilled) {
  auto raw = access_event();
  const std::size_t size = offsetof(mw_access_event, stack) + offsetof(mw_stack, pc) + 2 * sizeof(mw_u64);
  raw.head.size = static_cast<mw_u32>(size);
  ASSERT_TRUE(decode_raw(raw, size));
  raw.stack.count = 3;
  EXPECT_FALSE(decode_raw(raw, size));
}

TEST(Decode, StackMayBeginAtTheSecondWord) {
  auto raw = access_event();
  raw.stack.first = 1;
  raw.stack.count = 1;
  EXPECT_EQ(std::get<AccessEvent>(*decode_raw(raw)).stack, std::vector<std::uint64_t>{0x402000});
  raw.stack.count = MW_MAX_STACK - 1;
  EXPECT_TRUE(decode_raw(raw));
  raw.stack.count = MW_MAX_STACK;
  EXPECT_FALSE(decode_raw(raw));
}

TEST(Decode, FatalEventOfTheFirstVersionLacksTheMapsFacts) {
  mw_fatal_event raw = fatal_event();
  raw.last_map = 0xc000012340;
  raw.last_len = 3;
  raw.other_g = 0xc000000400;
  raw.other_op = MW_OP_WRITE;
  const auto now = decode_raw(raw);
  ASSERT_TRUE(now);
  EXPECT_EQ(std::get<FatalEvent>(*now).last_len, 3u);
  EXPECT_EQ(std::get<FatalEvent>(*now).other_g, 0xc000000400u);
  raw.head.size = MW_FATAL_EVENT_V1;
  const auto then = decode(Bytes(&raw, MW_FATAL_EVENT_V1));
  ASSERT_TRUE(then);
  EXPECT_EQ(std::get<FatalEvent>(*then).last_map, 0xc000012340u);
  EXPECT_EQ(std::get<FatalEvent>(*then).last_len, std::nullopt);
  EXPECT_EQ(std::get<FatalEvent>(*then).other_g, 0u);
}

TEST(Decode, Fatal) {
  const auto event = decode_raw(fatal_event());
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<FatalEvent>(*event).text, "hello");
  EXPECT_TRUE(std::get<FatalEvent>(*event).regs);

  auto with_registers = fatal_event();
  with_registers.regs.r14 = 0xc000001234;
  with_registers.regs.ip = 0x401000;
  const auto registers = std::get<FatalEvent>(*decode_raw(with_registers)).regs;
  ASSERT_TRUE(registers);
  EXPECT_EQ(registers->r14, 0xc000001234u);
  EXPECT_EQ(registers->ip, 0x401000u);
  // Recordings from before the registers end at the stack.
  auto older = fatal_event();
  older.head.size = offsetof(mw_fatal_event, regs);
  const auto old_event = decode_raw(older, offsetof(mw_fatal_event, regs));
  ASSERT_TRUE(old_event) << old_event.error().message;
  EXPECT_FALSE(std::get<FatalEvent>(*old_event).regs);
  EXPECT_EQ(std::get<FatalEvent>(*old_event).stack.size(), 1u);

  auto unreadable = fatal_event();
  unreadable.flags = MW_FATAL_TEXT_UNREADABLE;
  EXPECT_EQ(std::get<FatalEvent>(*decode_raw(unreadable)).text, "");
}

TEST(Decode, AProcessThatUsedUpItsHits) {
  const mw_over_event raw{{MW_EVENT_OVER, sizeof(raw), 1, 42, 43, 0, 0}, 7, 0};
  const auto event = decode(Bytes(&raw, sizeof(raw)));
  ASSERT_TRUE(event) << event.error().message;
  const auto* over = std::get_if<OverEvent>(&*event);
  ASSERT_NE(over, nullptr);
  EXPECT_EQ(over->epoch, 7u);
  EXPECT_EQ(over->head.tgid, 42u);
  const mw_event_head bare{MW_EVENT_OVER, sizeof(bare), 1, 42, 43, 0, 0};
  EXPECT_FALSE(decode(Bytes(&bare, sizeof(bare))));
}

TEST(Decode, ExecAndExit) {
  mw_event_head head{MW_EVENT_EXEC, sizeof(head), 1, 42, 42, 0, 0};
  EXPECT_TRUE(std::holds_alternative<ExecEvent>(*decode_raw(head)));
  head.kind = MW_EVENT_EXIT;
  EXPECT_TRUE(std::holds_alternative<ExitEvent>(*decode_raw(head)));
}

TEST(Decode, RefusesEachWrongFieldByName) {
  const auto expect_access = [](const char* field, auto change) {
    auto raw = access_event();
    change(raw);
    const auto event = decode_raw(raw);
    ASSERT_FALSE(event) << field;
    EXPECT_EQ(event.error().kind, ErrorKind::kMalformed);
    EXPECT_NE(event.error().message.find(field), std::string::npos) << event.error().message;
  };
  expect_access("bytes", [](auto& e) { e.head.size -= 8; });
  expect_access("kind", [](auto& e) { e.head.kind = 9; });
  expect_access("tgid", [](auto& e) { e.head.tgid = 0; });
  expect_access("role", [](auto& e) { e.role = 0; });
  expect_access("role", [](auto& e) { e.role = 3; });
  expect_access("role", [](auto& e) { e.role = MW_ROLE_WATCHER, e.evidence = MW_EVIDENCE_MARK; });
  expect_access("evidence", [](auto& e) { e.evidence = 3; });
  expect_access("stack.first", [](auto& e) { e.stack.first = 2; });
  expect_access("op", [](auto& e) { e.op = MW_OP_FATAL; });
  expect_access("op", [](auto& e) { e.op = MW_OP_NONE; });
  expect_access("other_op", [](auto& e) { e.other_op = 77; });
  expect_access("site_class", [](auto& e) { e.site_class = 5; });
  expect_access("map", [](auto& e) { e.map = 0; });
  expect_access("stack.count", [](auto& e) { e.stack.count = MW_MAX_STACK + 1; });
  const auto expect_fatal = [](const char* field, auto change) {
    auto raw = fatal_event();
    change(raw);
    const auto event = decode_raw(raw);
    ASSERT_FALSE(event) << field;
    EXPECT_NE(event.error().message.find(field), std::string::npos) << event.error().message;
  };
  expect_fatal("op", [](auto& e) { e.op = MW_OP_WRITE; });
  expect_fatal("text_len", [](auto& e) { e.text_len = MW_MAX_TEXT + 1; });
  expect_fatal("stack.count", [](auto& e) { e.stack.count = 0xffffffff; });
  expect_fatal("site_class", [](auto& e) { e.site_class = 0; });
}

TEST(Decode, NeverReadsBeyondTheRecord) {
  const auto raw = access_event();
  EXPECT_FALSE(decode(Bytes()));
  for (std::size_t size = 1; size < sizeof(raw); ++size) {
    std::vector<std::byte> cut(size);
    std::memcpy(cut.data(), &raw, size);
    EXPECT_FALSE(decode(Bytes(cut.data(), cut.size()))) << size;
  }
}

}  // namespace
}  // namespace mapwatch::ingest
