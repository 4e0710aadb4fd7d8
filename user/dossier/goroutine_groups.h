// Goroutines that stand at the same place, together: a million of them are a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dossier/frame_names.h"
#include "dossier/traceback.h"

namespace mapwatch::dossier {

/// Goroutines of the same frames, state and go statement.
struct GoroutineGroup {
  std::vector<const forensics::Goroutine*> members;  ///< by id; never empty

  const forensics::Goroutine& one() const { return *members.front(); }
  bool has(std::uint64_t id) const;
};

/// The group of goroutine `style.first` first, then by size. The members are those of `goroutines`, which must outlive
/// the value; the runtime's own only with `style.system`.
std::vector<GoroutineGroup> group_goroutines(const forensics::Goroutines& goroutines, FrameNames& names,
                                             const TracebackStyle& style);

/// "412 goroutines in chan receive, up to 3 minutes", without their ids.
std::string group_heading(const GoroutineGroup& group, int go_minor);
/// The frames that all of them have, as stack_text() gives them.
std::string group_stack(const GoroutineGroup& group, FrameNames& names, const TracebackStyle& style);

/// Each group's heading with the first ids, and its stack. At most `limit` groups, 0: all.
void write_groups(const std::vector<GoroutineGroup>& groups, FrameNames& names, const TracebackStyle& style,
                  std::size_t limit, const TextSink& sink);

}  // namespace mapwatch::dossier
