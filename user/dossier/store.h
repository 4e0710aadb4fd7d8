// The place where dossiers are kept: STATE_DIR/dossiers, a directory each. For the eyes of its owner only: they hold
// what was in the memory of a process.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dossier/snapshot.h"

namespace mapwatch::dossier {

struct DossierFile {
  std::string name;
  std::string text;
};

/// Beyond these the oldest are removed, never the newest.
struct StoreLimits {
  std::size_t count = 64;
  std::uint64_t bytes = std::uint64_t{1} << 30;
};

struct DossierEntry {
  std::string id;  ///< also the name of its directory; ids sort by time
  std::uint64_t bytes = 0;
};

class Store {
 public:
  /// Opens, `create`: makes it first (0700). kUsage when the directory belongs to somebody else or others may write
  /// there; kGone when there is none.
  static Result<Store> open(const std::string& state_dir, bool create, StoreLimits limits = {});

  /// Writes the files (0600) and their SHA256SUMS under a temporary name, then renames the whole. The path of the new
  /// directory. A failure (a full disk) leaves nothing behind.
  Result<std::string> add(const std::string& id, const std::vector<DossierFile>& files);
  /// Puts `files` in the place of those of the same names, or beside the others, with new sums: by another directory
  /// that takes the dossier's place in one step, so that whoever looks sees the old files or the new ones. kUsage when
  /// there is no such dossier; other failures leave it as it was.
  Result<void> replace(const std::string& id, const std::vector<DossierFile>& files);
  /// Oldest first.
  Result<std::vector<DossierEntry>> list() const;
  /// All its files, of one state. kUsage when there is no dossier `id`.
  Result<Snapshot> snapshot(const std::string& id) const;
  /// One file of a dossier. kUsage when there is no dossier `id`.
  Result<std::string> read(const std::string& id, const std::string& file) const;
  /// What differs from SHA256SUMS, a line each; empty: nothing. kUsage when there is no dossier `id`.
  Result<std::vector<std::string>> verify(const std::string& id) const;
  /// kUsage when there is no dossier `id`.
  Result<void> remove(const std::string& id);

  std::string path_of(std::string_view id) const { return path_ + "/" + std::string(id); }

 private:
  Store(std::string path, UniqueFd dir, StoreLimits limits)
      : path_(std::move(path)), dir_(std::move(dir)), limits_(limits) {}
  Result<void> write(const std::string& temporary, const std::vector<DossierFile>& files);
  /// Files of a dossier that `temporary` has not got, as the same files.
  Result<void> link_others(const std::string& id, const std::string& temporary);
  Result<void> exchange(const std::string& temporary, const std::string& id);
  /// What stat(2) says of a dossier that is there.
  Result<struct stat> check(const std::string& id) const;
  /// Removes one whose lock is held.
  Result<void> discard(const std::string& id);
  Result<void> prune(const std::string& newest);
  void remove_unfinished();

  std::string path_;
  UniqueFd dir_;
  StoreLimits limits_;
};

/// One line of SHA256SUMS, as `sha256sum -c` reads it.
std::string sum_line(const std::string& name, std::string_view text);
/// A whole SHA256SUMS.
std::string sums_text(const std::vector<DossierFile>& files);

}  // namespace mapwatch::dossier
