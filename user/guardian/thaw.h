// What a mapwatch and its guardian left behind when both were killed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/proc.h"
#include "guardian/let_go.h"

namespace mapwatch::guardian {

/// What became of one record.
struct Thawed {
  int pid = 0;  ///< 0: the record could not be read
  std::string path;
  bool owned = false;            ///< a live mapwatch watches the process; its record stays
  std::optional<LetGo> outcome;  ///< nullopt: not tried
  std::string error;             ///< why not, empty: no error
};

enum class Owned {
  kLeave,  ///< processes of a live mapwatch are left to it and its guardian
  kToo,    ///< asked for by name: it may hang, and its guardian be dead
};

/// Goes through the records of `run_dir`, or of `only` one process; continues each process that is the one of its
/// record, is stopped, and stands where mapwatch stops processes. Records of processes that are gone or were let go are
/// removed.
std::vector<Thawed> thaw(const std::string& run_dir, std::optional<int> only, Owned owned, const proc::ProcFs& procfs);

}  // namespace mapwatch::guardian
