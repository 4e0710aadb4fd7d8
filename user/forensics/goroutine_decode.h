// A copy of goroutines -> values. Pure: takes its time after the process was let go.
#pragma once

#include <functional>

#include "forensics/goroutine_copy.h"
#include "forensics/goroutines.h"

namespace mapwatch::forensics {

/// Asked of each goroutine before its stack is unwound.
using GoroutineFilter = std::function<bool(const Goroutine&)>;

/// Decodes the copy. `process` is the one that it was copied by. `wanted`: leaves the others out.
Goroutines decode_goroutines(const GoroutineCopy& copy, const GoProcess& process, const GoroutineFilter& wanted = {});

}  // namespace mapwatch::forensics
