#include <cstddef>
#include <cstring>

#include <fmt/format.h>

#include "ingest/event.h"

namespace mapwatch::ingest {
namespace {

tl::unexpected<Error> malformed(const char* event, const char* field, std::uint64_t value) {
  return fail(ErrorKind::kMalformed, fmt::format("{} event: {} is {}", event, field, value),
              "the kernel side and this mapwatch do not fit, or the recording is damaged");
}

EventHead to_head(const mw_event_head& head) { return {head.time_ns, head.tgid, head.tid, head.cpu, head.layout}; }

bool is_map_op(std::uint32_t op) { return op >= MW_OP_WRITE && op <= MW_OP_CLONE; }
bool is_site_class(std::uint32_t site_class) { return site_class >= MW_SITE_PUSH && site_class <= MW_SITE_ENTRY; }

/// The fixed part of an event. Its stack ends it (before fields that were added later) and may be sent as far as it is
/// filled: `T` is zeroed beyond.
template <typename T>
Result<T> fixed_part(Bytes record, const char* name) {
  constexpr std::size_t kFixed = offsetof(T, stack) + offsetof(mw_stack, pc);
  if (record.size() < kFixed || record.size() > sizeof(T)) {
    return malformed(name, "size", record.size());
  }
  T event{};
  std::memcpy(&event, record.data(), record.size());
  const std::uint64_t count = event.stack.count;
  const std::uint64_t first = event.stack.first;
  if (first > 1) {
    return malformed(name, "stack.first", first);
  }
  if (count > MW_MAX_STACK - first || kFixed + (first + count) * sizeof(mw_u64) > record.size()) {
    return malformed(name, "stack.count", count);
  }
  if (!is_site_class(event.site_class)) {
    return malformed(name, "site_class", event.site_class);
  }
  return event;
}

std::vector<std::uint64_t> to_stack(const mw_stack& stack) {
  const mw_u64* begin = stack.pc + stack.first;
  return {begin, begin + stack.count};
}

Result<Event> decode_access(Bytes record) {
  const mw_access_event raw = TRY(fixed_part<mw_access_event>(record, "access"));
  if (raw.role != MW_ROLE_WATCHER && raw.role != MW_ROLE_VISITOR) {
    return malformed("access", "role", raw.role);
  }
  if (raw.evidence < MW_EVIDENCE_WATCH || raw.evidence > MW_EVIDENCE_MARK) {
    return malformed("access", "evidence", raw.evidence);
  }
  if (raw.evidence == MW_EVIDENCE_MARK && raw.role != MW_ROLE_VISITOR) {
    return malformed("access", "role of a mark", raw.role);
  }
  if (!is_map_op(raw.op)) {
    return malformed("access", "op", raw.op);
  }
  if (raw.other_op != MW_OP_NONE && !is_map_op(raw.other_op)) {
    return malformed("access", "other_op", raw.other_op);
  }
  if (raw.map == 0) {
    return malformed("access", "map", 0);
  }
  AccessEvent event;
  event.head = to_head(raw.head);
  event.role = static_cast<mw_role>(raw.role);
  event.evidence = static_cast<mw_evidence>(raw.evidence);
  event.op = static_cast<mw_op>(raw.op);
  event.site_class = static_cast<mw_site_class>(raw.site_class);
  event.site = raw.site;
  event.slot = raw.slot;
  event.generation = raw.generation;
  event.map = raw.map;
  event.type = raw.type;
  event.len = raw.len;
  event.g = raw.g;
  event.goid = raw.goid;
  event.gopc = raw.gopc;
  event.watch_ns = raw.watch_ns;
  event.held_ns = raw.held_ns;
  event.flags = raw.flags;
  if ((raw.flags & MW_ACCESS_OTHER_KNOWN) != 0) {
    event.other_g = raw.other_g;
    event.other_goid = raw.other_goid;
    event.other_pc = raw.other_pc;
    event.other_op = static_cast<mw_op>(raw.other_op);
  }
  event.stack = to_stack(raw.stack);
  return event;
}

Result<Event> decode_fatal(Bytes record) {
  const mw_fatal_event raw = TRY(fixed_part<mw_fatal_event>(record, "fatal"));
  if (raw.op != MW_OP_FATAL && raw.op != MW_OP_THROW) {
    return malformed("fatal", "op", raw.op);
  }
  if (raw.text_len > MW_MAX_TEXT) {
    return malformed("fatal", "text_len", raw.text_len);
  }
  FatalEvent event;
  event.head = to_head(raw.head);
  event.op = static_cast<mw_op>(raw.op);
  event.site_class = static_cast<mw_site_class>(raw.site_class);
  event.flags = raw.flags;
  event.text_addr = raw.text_addr;
  event.g = raw.g;
  event.goid = raw.goid;
  event.gopc = raw.gopc;
  event.last_map = raw.last_map;
  event.last_type = raw.last_type;
  if (raw.last_map != 0 && record.size() >= offsetof(mw_fatal_event, regs)) {
    event.last_len = raw.last_len;
  }
  if (raw.other_g != 0) {
    if (!is_map_op(raw.other_op)) {
      return malformed("fatal", "other_op", raw.other_op);
    }
    event.other_g = raw.other_g;
    event.other_goid = raw.other_goid;
    event.other_pc = raw.other_pc;
    event.other_op = static_cast<mw_op>(raw.other_op);
  }
  event.ip = raw.ip;
  event.sp = raw.sp;
  event.bp = raw.bp;
  if ((raw.flags & MW_FATAL_TEXT_UNREADABLE) == 0) {
    event.text.assign(reinterpret_cast<const char*>(raw.text), raw.text_len);
  }
  event.stack = to_stack(raw.stack);
  if (record.size() == sizeof(mw_fatal_event)) {
    event.regs = raw.regs;
  }
  return event;
}

}  // namespace

Result<Event> decode(Bytes record) {
  const auto head = record.read<mw_event_head>(0);
  if (!head) {
    return malformed("short", "size", record.size());
  }
  if (head->size != record.size()) {
    return fail(ErrorKind::kMalformed,
                fmt::format("event of kind {}: says {} bytes, has {}", head->kind, head->size, record.size()));
  }
  if (head->tgid == 0) {
    return malformed("any", "tgid", 0);
  }
  switch (head->kind) {
    case MW_EVENT_ACCESS:
      return decode_access(record);
    case MW_EVENT_FATAL:
      return decode_fatal(record);
    case MW_EVENT_EXEC:
    case MW_EVENT_EXIT:
      if (record.size() != sizeof(mw_event_head)) {
        return malformed(head->kind == MW_EVENT_EXEC ? "exec" : "exit", "size", record.size());
      }
      if (head->kind == MW_EVENT_EXEC) {
        return ExecEvent{to_head(*head)};
      }
      return ExitEvent{to_head(*head)};
    case MW_EVENT_OVER: {
      const auto over = record.read<mw_over_event>(0);
      if (record.size() != sizeof(mw_over_event) || !over) {
        return malformed("over", "size", record.size());
      }
      return OverEvent{to_head(*head), over->epoch};
    }
    default:
      return malformed("unknown", "kind", head->kind);
  }
}

}  // namespace mapwatch::ingest
