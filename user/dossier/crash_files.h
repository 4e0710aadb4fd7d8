// What is kept of a crash, as the files of a dossier.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dossier/store.h"
#include "elf/go_binary.h"
#include "forensics/goroutine_copy.h"
#include "forensics/map_holders.h"
#include "forensics/map_operations.h"
#include "forensics/map_reader.h"
#include "forensics/word_search.h"
#include "report/report.h"

namespace mapwatch::dossier {

struct ThreadState {
  int tid = 0;  ///< as mapwatch sees it
  user_regs_struct registers = {};
  std::uint64_t own_tid = 0;  ///< as the process itself knows it
};

/// A crash: what was copied while the process stood still, and its report.
struct CrashFacts {
  std::vector<ThreadState> threads;
  std::string maps;                                    ///< /proc/PID/maps
  std::optional<std::string> environment;              ///< env_names_text()
  std::optional<forensics::GoroutineCopy> goroutines;  ///< none: `notes` says why
  std::optional<forensics::MapPicture> map;            ///< likewise
  std::uint64_t argument_map = 0;                      ///< proven by the crashing call's arguments; 0: not
  std::uint64_t map_address = 0;                       ///< that the next two are of; 0: not known by then
  forensics::AccessTables accesses;                    ///< what the kernel side remembered
  std::optional<forensics::WordPlaces> variables;      ///< the program's variables that held it; none: not searched
  std::vector<std::string> notes;                      ///< what is missing and why, for people; fit for a terminal
};

/// The names of environment variables, one a line, each once and in order; never a value. `environment`: NAME=VALUE as
/// /proc/PID/environ has them. What has no name is left out and counted in a line of its own.
std::string env_names_text(const std::vector<std::string>& environment);

/// What is decoded of them once the process runs again.
struct CrashPicture {
  std::optional<forensics::Goroutines> goroutines;
  std::optional<forensics::MapUse> use;          ///< of the report's map, as the next one
  std::optional<forensics::MapHolders> holders;  ///< none: no goroutines, or no map
};
/// `map`: that the crash is about; 0: not known.
CrashPicture decode_crash(const CrashFacts& facts, const forensics::GoProcess& process, std::uint64_t map);

/// report.txt, report.json, report.html, registers.json, maps.txt, and as far as they are known goroutines.txt,
/// holders.json, buildinfo.txt, env-names.txt, and of the map maps.json and map.svg. `report.dossier` is to hold the
/// path already; its printed_ns is 0 when the report was not printed yet. The timeline is the caller's to add
/// (timeline_files.h).
std::vector<DossierFile> crash_files(const CrashFacts& facts, const CrashPicture& picture,
                                     const forensics::GoProcess& process, const std::optional<elf::BuildInfo>& build,
                                     const report::CrashReport& report);

/// "20261123T214102.123Z-4211-mw-7f3a91c2": ids sort by time.
std::string crash_id(const report::CrashReport& report);

}  // namespace mapwatch::dossier
