// What must be known to let a process go when everybody who could have done it is dead: one small file a process in the
// run directory. It stands for as long as a freeze of that process is possible, so that no instant is without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/proc.h"
#include "base/result.h"

namespace mapwatch::guardian {

/// A process that is told from others which had or will have its PID.
struct ProcessKey {
  int pid = 0;
  std::uint64_t start_time = 0;  ///< clock ticks since boot
  bool operator==(const ProcessKey&) const = default;
};

struct HeldRecord {
  ProcessKey process;
  std::string boot_id;
  std::uint64_t exe_dev = 0;
  std::uint64_t exe_inode = 0;
  ProcessKey owner;                  ///< the mapwatch that may freeze it
  ProcessKey guardian;               ///< and its guardian
  std::vector<std::uint64_t> sites;  ///< addresses in the process of the instructions at which it is frozen
};

/// Both directions; parse fails with kMalformed on anything that encode does not write.
std::string encode(const HeldRecord& record);
Result<HeldRecord> parse_held(std::string_view text);

/// The file, removed when this goes.
class HeldFile {
 public:
  /// RUN_DIR/PID-START.held, written to another name and renamed: whole or not there.
  static Result<HeldFile> write(const std::string& run_dir, const HeldRecord& record);

  HeldFile(HeldFile&& other) noexcept;
  HeldFile& operator=(HeldFile&& other) noexcept;
  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;
  ~HeldFile() { remove(); }

  /// Writes it anew (another guardian).
  Result<void> rewrite(const HeldRecord& record);
  const std::string& path() const { return path_; }

 private:
  explicit HeldFile(std::string path) : path_(std::move(path)) {}
  void remove();
  std::string path_;
};

/// One file of a run directory, ours to believe: a regular file that belongs to this user or root.
Result<HeldRecord> read_held(const std::string& path);
/// Paths of all such files, sorted; a run directory that is not there has none.
std::vector<std::string> list_held(const std::string& run_dir);

/// This process, or any; nullopt when there is none of that PID.
std::optional<ProcessKey> process_key(int pid, const proc::ProcFs& procfs);
/// That very process lives (a zombie does not).
bool lives(const ProcessKey& key, const proc::ProcFs& procfs);

}  // namespace mapwatch::guardian
