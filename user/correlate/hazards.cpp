#include "correlate/hazards.h"

#include "correlate/fingerprint.h"

namespace mapwatch::correlate {

using ingest::AccessEvent;

namespace {

bool conflict(mw_op one, mw_op two) { return mutates(one) || mutates(two); }

Hazard from_side(const AccessEvent& event) {
  Hazard hazard;
  hazard.tgid = event.head.tgid;
  hazard.layout = event.head.layout;
  hazard.time_ns = event.head.time_ns;
  hazard.evidence = event.evidence;
  hazard.severity = event.evidence == MW_EVIDENCE_MARK ? Severity::kImminent : Severity::kProven;
  hazard.map = event.map;
  hazard.map_type = event.type;
  hazard.map_len = event.len;
  hazard.accesses[0] = observed(event);
  return hazard;
}

void name(Hazard& hazard, const ProcessContext& process, std::uint64_t type0, std::uint64_t type1) {
  hazard.fingerprint = fingerprint(process, {&hazard.accesses[0], type0}, {&hazard.accesses[1], type1});
  hazard.id = id_of(hazard.fingerprint);
}

bool names_other(const AccessEvent& event) {
  return (event.flags & MW_ACCESS_OTHER_KNOWN) != 0 && event.other_g != 0 && event.other_g != event.g;
}

}  // namespace

Access observed(const AccessEvent& event) {
  Access access;
  access.op = event.op;
  access.site_class = event.site_class;
  access.attribution = Attribution::kObserved;
  access.goid = event.goid;
  access.g = event.g;
  access.tid = event.head.tid;
  access.cpu = event.head.cpu;
  access.time_ns = event.head.time_ns;
  access.gopc = event.gopc;
  access.stack = event.stack;
  access.stack_cut = (event.flags & MW_ACCESS_STACK_CUT) != 0;
  return access;
}

std::optional<Hazard> from_meeting(const Meeting& meeting, const ProcessContext& process) {
  const AccessEvent& visitor = meeting.visitor;
  const AccessEvent& watcher = meeting.watcher;
  if (visitor.g == watcher.g || visitor.map != watcher.map || !conflict(visitor.op, watcher.op)) {
    return std::nullopt;
  }
  Hazard hazard = from_side(visitor);
  hazard.accesses[1] = observed(watcher);
  hazard.map_type = visitor.type != 0 ? visitor.type : watcher.type;
  hazard.map_type_other = watcher.type != hazard.map_type ? watcher.type : 0;
  // Two CPUs' clocks may differ by a little: a visitor cannot really come before the watch.
  if (watcher.watch_ns != 0 && visitor.head.time_ns > watcher.watch_ns) {
    hazard.overlap_ns = visitor.head.time_ns - watcher.watch_ns;
  }
  name(hazard, process, visitor.type, watcher.type);
  return hazard;
}

Hazard from_mark(const AccessEvent& visitor, const ProcessContext& process) {
  Hazard hazard = from_side(visitor);
  Access& other = hazard.accesses[1];
  other.op = MW_OP_WRITE;  // the mark tells that somebody writes, not how
  other.attribution = Attribution::kUnknown;
  if (names_other(visitor) && mutates(visitor.other_op)) {
    other.op = visitor.other_op;
    other.goid = visitor.other_goid;
    other.g = visitor.other_g;
    if (visitor.other_pc != 0) {
      other.attribution = Attribution::kLastWriter;
      other.stack = {visitor.other_pc};
    }
  }
  name(hazard, process, visitor.type, 0);
  return hazard;
}

std::optional<Hazard> from_lone(const AccessEvent& half, const ProcessContext& process, Partner partner) {
  if (!names_other(half) || !conflict(half.op, half.other_op)) {
    return std::nullopt;
  }
  Hazard hazard = from_side(half);
  hazard.partner = partner;
  Access& other = hazard.accesses[1];
  other.attribution = Attribution::kUnknown;
  other.op = half.other_op;
  other.goid = half.other_goid;
  other.g = half.other_g;
  name(hazard, process, half.type, 0);
  return hazard;
}

}  // namespace mapwatch::correlate
