#include "golden/stream.h"

#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace mapwatch::golden {

using ingest::ChunkTag;
using ingest::FrameRecord;
using ingest::SymbolRecord;

namespace {

constexpr std::int64_t kWallOffset = 1'795'392'840'000'000'000;  // 2026-11-23T00:14:00Z

FrameRecord frame_of(const Place& place, bool user) {
  return {place.func,
          place.file,
          place.line,
          place.pc,
          place.offset,
          place.kind == Place::Kind::kInlined,
          place.kind == Place::Kind::kRuntime,
          user};
}

template <typename T>
T checked(Result<T> result) {
  if (!result) {
    throw std::runtime_error(result.error().message);
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

}  // namespace

Stream::Stream(const std::string& path) : writer_(checked(ingest::RecordWriter::create(path))) {}

Stream& Stream::raw(ChunkTag tag, const std::string& payload) {
  checked(writer_->append(tag, payload));
  return *this;
}

Stream& Stream::process(std::uint32_t tgid, const std::string& exe, const std::string& build_id,
                        std::uint64_t load_bias) {
  tgid_ = tgid;
  return raw(ChunkTag::kProcess,
             ingest::encode(ingest::ProcessRecord{tgid, tgid, 1, exe, "go1.26.8", build_id,
                                                  "/system.slice/orders.service", load_bias, kWallOffset}));
}

Stream& Stream::in(std::uint32_t tgid) {
  tgid_ = tgid;
  return *this;
}

Stream& Stream::type(std::uint64_t address, const std::string& name) {
  return raw(ChunkTag::kSymbols, ingest::encode(SymbolRecord{tgid_, SymbolRecord::Kind::kType, {address}, {}, name}));
}

Stream& Stream::symbol(const Place& place) {
  return raw(ChunkTag::kSymbols,
             ingest::encode(SymbolRecord{tgid_, SymbolRecord::Kind::kAt, {place.pc}, {frame_of(place, true)}, ""}));
}

std::vector<FrameRecord> Stream::frames_of(const Goroutine& who) {
  std::vector<FrameRecord> frames;
  bool marked = false;
  for (const Place& place : who.stack) {
    const bool user = !marked && place.kind != Place::Kind::kRuntime;
    marked = marked || user;
    frames.push_back(frame_of(place, user));
  }
  return frames;
}

void Stream::symbols(const Goroutine& who) {
  SymbolRecord stack{tgid_, SymbolRecord::Kind::kStack, {}, frames_of(who), ""};
  for (const Place& place : who.stack) {
    if (place.kind != Place::Kind::kInlined) {
      stack.pcs.push_back(place.pc);
    }
  }
  if (!stack.pcs.empty()) {
    raw(ChunkTag::kSymbols, ingest::encode(stack));
  }
  if (!who.created_by.func.empty()) {
    symbol(who.created_by);
  }
}

template <typename T>
void Stream::event(T& raw_event, const Goroutine& who, std::uint64_t time_ns, mw_event_kind kind) {
  symbols(who);
  mw_u32 count = 0;
  for (const Place& place : who.stack) {
    if (place.kind != Place::Kind::kInlined) {
      raw_event.stack.pc[count++] = place.pc;
    }
  }
  raw_event.stack.count = count;
  const std::size_t size = offsetof(T, stack) + offsetof(mw_stack, pc) + count * sizeof(mw_u64);
  raw_event.head = {static_cast<mw_u32>(kind), static_cast<mw_u32>(size), time_ns, tgid_, who.tid, who.tid % 2, 0};
  raw_event.site_class = MW_SITE_PUSH;
  raw_event.g = 0xc000000000 + who.goid * 0x400;
  raw_event.goid = who.goid;
  raw_event.gopc = who.created_by.pc;
  checked(writer_->append(ChunkTag::kEvent, Bytes(&raw_event, size)));
}

Stream& Stream::access(mw_role role, mw_evidence evidence, std::uint64_t time_ns, mw_op op, const Goroutine& who,
                       const Half& half) {
  mw_access_event raw_event{};
  raw_event.role = static_cast<mw_u8>(role);
  raw_event.evidence = static_cast<mw_u8>(evidence);
  raw_event.op = static_cast<mw_u8>(op);
  raw_event.slot = half.slot;
  raw_event.generation = half.generation;
  raw_event.map = half.map;
  raw_event.type = half.type;
  raw_event.len = half.len;
  raw_event.watch_ns = half.watch_ns;
  raw_event.flags = half.flags;
  if (half.other_goid != 0) {
    raw_event.flags |= MW_ACCESS_OTHER_KNOWN;
    raw_event.other_g = 0xc000000000 + half.other_goid * 0x400;
    raw_event.other_goid = half.other_goid;
    raw_event.other_op = static_cast<mw_u8>(half.other_op);
    raw_event.other_pc = half.other_pc;
  }
  event(raw_event, who, time_ns, MW_EVENT_ACCESS);
  return *this;
}

Stream& Stream::visitor(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half) {
  return access(MW_ROLE_VISITOR, MW_EVIDENCE_WATCH, time_ns, op, who, half);
}

Stream& Stream::watcher(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half) {
  return access(MW_ROLE_WATCHER, MW_EVIDENCE_WATCH, time_ns, op, who, half);
}

Stream& Stream::mark(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half) {
  return access(MW_ROLE_VISITOR, MW_EVIDENCE_MARK, time_ns, op, who, half);
}

Stream& Stream::fatal(std::uint64_t time_ns, const std::string& text, const Goroutine& who, std::uint64_t last_map) {
  mw_fatal_event raw_event{};
  raw_event.op = MW_OP_FATAL;
  raw_event.last_map = last_map;
  raw_event.text_len = static_cast<mw_u16>(text.size());
  std::memcpy(raw_event.text, text.data(), std::min<std::size_t>(text.size(), MW_MAX_TEXT));
  event(raw_event, who, time_ns, MW_EVENT_FATAL);
  return *this;
}

Stream& Stream::exit(std::uint64_t time_ns) {
  const mw_event_head head{MW_EVENT_EXIT, sizeof(head), time_ns, tgid_, tgid_, 0, 0};
  checked(writer_->append(ChunkTag::kEvent, Bytes(&head, sizeof(head))));
  return *this;
}

Stream& Stream::reported(const std::string& id, std::uint64_t count, std::uint64_t printed_ns) {
  return raw(ChunkTag::kReported, ingest::encode(ingest::ReportedRecord{tgid_, id, count, printed_ns}));
}

Stream& Stream::frozen(const std::string& id, std::uint64_t frozen_ns, const std::string& dossier,
                       std::uint64_t other_began_ns, const Goroutine& inside) {
  ingest::FrozenRecord record{tgid_, id, frozen_ns, dossier, other_began_ns, std::nullopt};
  if (inside.goid != 0) {
    record.inside = {MW_OP_WRITE,       inside.goid, inside.tid,
                     frames_of(inside), false,       frame_of(inside.created_by, false)};
  }
  return raw(ChunkTag::kFrozen, ingest::encode(record));
}

Stream& Stream::lost(const std::string& stage, std::uint64_t count) {
  return raw(ChunkTag::kLost, ingest::encode(ingest::LostRecord{stage, count}));
}

Stream& Stream::counters(std::uint64_t lost) {
  ingest::CountersRecord record;
  record.duration_ns = 30'000'000'000;
  record.hits = 12'400;
  record.dwells = 310;
  record.lost = lost;
  record.sites = 14;
  record.sites_armed = 14;
  record.armed_share = 1;
  record.ns_per_hit = 812.5;
  record.target_cost = 0.004;
  record.own_cpu_s = 0.125;
  record.own_rss_bytes = 21'000'000;
  return raw(ChunkTag::kCounters, ingest::encode(record));
}

}  // namespace mapwatch::golden
