// Event builders shared by the tests of correlate.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "ingest/event.h"

#include "correlate/correlator.h"

namespace mapwatch::correlate {

inline ingest::AccessEvent half(mw_role role, mw_op op, std::uint64_t goid, std::uint64_t time_ns = 1'000'000) {
  ingest::AccessEvent event;
  event.head.time_ns = time_ns;
  event.head.tgid = 100;
  event.head.tid = static_cast<std::uint32_t>(100 + goid);
  event.role = role;
  event.op = op;
  event.site_class = MW_SITE_PUSH;
  event.slot = 7;
  event.generation = 3;
  event.map = 0xc000012340;
  event.type = 0x4a0000;
  event.len = 3;
  event.g = 0xc000000000 + goid * 0x400;
  event.goid = goid;
  event.watch_ns = role == MW_ROLE_WATCHER ? time_ns : 0;
  event.stack = {std::uint64_t{0x401000} + op, 0x500000 + goid * 0x10, 0x600000};
  return event;
}

inline ingest::AccessEvent visitor(mw_op op, std::uint64_t goid, std::uint64_t time_ns = 1'000'000) {
  return half(MW_ROLE_VISITOR, op, goid, time_ns);
}

inline ingest::AccessEvent watcher(mw_op op, std::uint64_t goid, std::uint64_t time_ns = 1'000'000) {
  return half(MW_ROLE_WATCHER, op, goid, time_ns);
}

/// The half also names the other goroutine.
inline ingest::AccessEvent knowing(ingest::AccessEvent event, mw_op op, std::uint64_t goid) {
  event.flags |= MW_ACCESS_OTHER_KNOWN;
  event.other_op = op;
  event.other_goid = goid;
  event.other_g = 0xc000000000 + goid * 0x400;
  return event;
}

inline ingest::AccessEvent mark(mw_op op, std::uint64_t goid, std::uint64_t time_ns = 1'000'000) {
  ingest::AccessEvent event = visitor(op, goid, time_ns);
  event.evidence = MW_EVIDENCE_MARK;
  return event;
}

inline ingest::FatalEvent fatal(std::string text, std::uint64_t goid, std::uint64_t time_ns) {
  ingest::FatalEvent event;
  event.head.time_ns = time_ns;
  event.head.tgid = 100;
  event.head.tid = static_cast<std::uint32_t>(100 + goid);
  event.goid = goid;
  event.g = 0xc000000000 + goid * 0x400;
  event.last_map = 0xc000012340;
  event.text = std::move(text);
  event.stack = {0x402000, 0x401003, 0x500000 + goid * 0x10};
  return event;
}

inline std::vector<Hazard> hazards_of(const std::vector<Finding>& findings) {
  std::vector<Hazard> out;
  for (const Finding& finding : findings) {
    if (const auto* hazard = std::get_if<Hazard>(&finding)) {
      out.push_back(*hazard);
    }
  }
  return out;
}

inline Crash crash_of(const std::vector<Finding>& findings) {
  if (findings.size() == 1) {
    if (const auto* crash = std::get_if<Crash>(&findings[0])) {
      return *crash;
    }
  }
  ADD_FAILURE() << "not one crash but " << findings.size() << " findings";
  return {};
}

}  // namespace mapwatch::correlate
