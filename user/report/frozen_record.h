// What a recording keeps of a crash's report because no event tells it: its process was read while it stood still.
#pragma once

#include <cstdint>

#include "ingest/record_json.h"
#include "report/report.h"

namespace mapwatch::report {

ingest::FrozenRecord to_record(std::uint32_t tgid, const CrashReport& crash);
/// Puts it into the report that was built from the event.
void add_frozen(const ingest::FrozenRecord& record, CrashReport& crash);

}  // namespace mapwatch::report
