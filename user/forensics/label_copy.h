// pprof labels of goroutines. From Go 1.24 on they are a list that can be read in three steps; before, they were a map
// and are not read here. Sources: runtime/pprof/label.go, internal/runtime/pprof/label.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "forensics/goroutines.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

struct StructCopies;

/// By g.labels, which lies at `offset` in each of `gs`. Goroutines share their labels: each set is read once.
std::unordered_map<std::uint64_t, std::vector<Label>> copy_labels(const Memory& memory, const StructCopies& gs,
                                                                  std::uint32_t offset, int go_minor);

}  // namespace mapwatch::forensics
