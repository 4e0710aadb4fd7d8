// Whether an executable is a Go program, remembered by file: in a storm of short-lived programs each costs one stat(2).
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>

#include "base/file_key.h"

namespace mapwatch::app {

class ExeKinds {
 public:
  /// `limit`: files remembered; the one not asked for longest is forgotten.
  explicit ExeKinds(std::size_t limit = 4096) : limit_(limit) {}

  /// Whether the file at `path` (/proc/PID/exe), whose key was just read, has Go's build info. nullopt: it cannot be
  /// read, by errno; that is not remembered.
  std::optional<bool> is_go(const std::string& path, const FileKey& key);

  std::size_t size() const { return known_.size(); }
  /// Files that were opened and looked into.
  std::size_t reads() const { return reads_; }

 private:
  struct Known {
    bool go;
    std::list<FileKey>::iterator order;
  };
  std::size_t limit_;
  std::size_t reads_ = 0;
  std::map<FileKey, Known> known_;
  std::list<FileKey> order_;  ///< last asked for first
};

}  // namespace mapwatch::app
