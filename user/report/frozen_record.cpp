#include "report/frozen_record.h"

#include "symbolize/frame_record.h"

namespace mapwatch::report {

ingest::FrozenRecord to_record(std::uint32_t tgid, const CrashReport& crash) {
  ingest::FrozenRecord record;
  record.tgid = tgid;
  record.id = crash.id;
  record.frozen_ns = crash.frozen_ns;
  record.dossier = crash.dossier;
  if (!crash.other) {
    return record;
  }
  const AccessReport& other = *crash.other;
  record.other_began_ns = other.time_ns;
  if (other.attribution == correlate::Attribution::kInside) {
    ingest::InsideRecord& inside = record.inside.emplace();
    inside.op = other.op;
    inside.goid = other.goid;
    inside.tid = other.tid;
    inside.stack = symbolize::to_records(other.stack);
    inside.stack_cut = other.stack_cut;
    if (other.created_by) {
      inside.created_by = symbolize::to_record(*other.created_by);
    }
  }
  return record;
}

void add_frozen(const ingest::FrozenRecord& record, CrashReport& crash) {
  crash.frozen_ns = record.frozen_ns;
  crash.dossier = record.dossier;
  if (record.inside) {
    const ingest::InsideRecord& inside = *record.inside;
    AccessReport& other = crash.other.emplace();
    other.op = inside.op;
    other.attribution = correlate::Attribution::kInside;
    other.goid = inside.goid;
    other.tid = inside.tid;
    other.stack = symbolize::to_frames(inside.stack);
    other.stack_cut = inside.stack_cut;
    if (inside.created_by) {
      other.created_by = symbolize::to_frame(*inside.created_by);
    }
  }
  if (crash.other) {
    crash.other->time_ns = record.other_began_ns;
  }
}

}  // namespace mapwatch::report
