// A copy of goroutines -> values. Pure: takes its time after the process was let go.
#pragma once

#include "forensics/goroutine_copy.h"
#include "forensics/goroutines.h"

namespace mapwatch::forensics {

/// Decodes the copy. `process` is the one that it was copied by.
Goroutines decode_goroutines(const GoroutineCopy& copy, const GoProcess& process);

}  // namespace mapwatch::forensics
