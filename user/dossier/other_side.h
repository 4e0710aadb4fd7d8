// The other side of a crash, from the stacks of the frozen process: what a report says when a goroutine is still in its
// operation on the map.
#pragma once

#include "dossier/crash_files.h"
#include "forensics/map_operations.h"
#include "report/report.h"

namespace mapwatch::dossier {

/// The goroutine to name: one whose stack is, for certain, in an operation that changes the map, and which is not the
/// crashing one (only who changes a map sets the mark that Go dies of). Of several the one that `report` names already,
/// else the one that began last before the crash. Null when there is none.
const forensics::MapOperation* other_inside(const forensics::MapUse& use, const forensics::Goroutines& goroutines,
                                            const report::CrashReport& report);

/// Makes that goroutine report.other, with its whole stack from the map function on; leaves the report as it is when
/// there is none.
void tell_other_side(const CrashFacts& facts, const CrashPicture& picture, const forensics::GoProcess& process,
                     report::CrashReport& report);

}  // namespace mapwatch::dossier
