// Who else is on the map of a crash, who was last, and who holds it: as text and as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "dossier/frame_names.h"
#include "forensics/map_holders.h"
#include "forensics/map_operations.h"
#include "report/report.h"

namespace mapwatch::dossier {

/// The references must outlive the value.
struct MapCompany {
  const report::CrashReport& report;
  const forensics::Goroutines& goroutines;
  const forensics::MapUse& use;
  const forensics::MapHolders& holders;
  FrameNames& names;
  std::uint64_t argument_map = 0;  ///< that the crashing call's arguments prove; 0: they do not
};

/// holders.json: schema_version 1.
std::string company_json(const MapCompany& company);

/// "arguments", "probe", "slot".
std::string_view evidence_name(forensics::OperationEvidence evidence);
/// "rax", by arch::Register.
std::string_view register_name(std::size_t reg);
/// The logical frame to name of frames[i]: the innermost of those that were inlined into it; null when its code is
/// unknown. Valid until the next call of `names`.
const NamedFrame* place_of(const forensics::Goroutine& goroutine, std::size_t i, FrameNames& names);
/// The innermost frame that is not the runtime's, from frames[i] on: the code that uses the map.
const NamedFrame* user_place(const forensics::Goroutine& goroutine, std::size_t i, FrameNames& names);

}  // namespace mapwatch::dossier
