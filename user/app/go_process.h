// The Go processes of this machine as values: what `ls` prints.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/proc.h"
#include "base/result.h"
#include "elf/go_binary.h"

namespace mapwatch::app {

struct GoProcess {
  int pid = 0;
  int ns_pid = 0;
  std::uint32_t uid = 0;
  std::string comm;
  std::string exe;  ///< as its own mount namespace names it
  std::string go;   ///< "go1.26.8", with "unverified " in front when newer than the table
  bool unverified = false;
  std::string main_path;                  ///< may be empty
  std::string build_id;                   ///< may be empty
  std::optional<elf::BuildTraits> build;  ///< nullopt when the binary could not be read beyond its build info
  bool watchable = false;
  bool mark_only = false;  ///< watchable, but no goroutine is held: one CPU, or a real-time thread
  std::string reason;      ///< why not watchable, or why mark only; empty otherwise
};

struct Listing {
  std::vector<GoProcess> processes;  ///< by pid
  std::size_t unreadable = 0;        ///< processes whose executable this user may not read
};

struct ListOptions {
  std::optional<uid_t> only_user = std::nullopt;  ///< nullopt: every user's
  std::string run_dir = "/run/mapwatch";          ///< where a mapwatch that watches already says so
  int self = 0;                                   ///< this process' id, left out
  /// Told before each look how many of the processes were looked at, of how many; may be empty.
  std::function<void(std::size_t done, std::size_t of)> progress = {};
};

/// Reads every process once; those that exit meanwhile, kernel threads and programs that are not Go are left out. Each
/// binary is read once, however many processes run it. Errors: /proc itself cannot be read.
Result<Listing> list_go_processes(const proc::ProcFs& procfs, const ListOptions& options);

/// A table with a header line; "no Go processes" when there are none.
std::string listing_text(const std::vector<GoProcess>& processes);
/// One object a line.
std::string listing_json(const std::vector<GoProcess>& processes);

/// "stripped,PIE,cgo": what is special about a build; "plain" when nothing is.
std::string traits_text(const elf::BuildTraits& traits);

}  // namespace mapwatch::app
