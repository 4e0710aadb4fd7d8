// Binaries by file: read once, planned once, shared by all processes that run them.
#pragma once

#include <map>
#include <memory>

#include "attach/plan.h"
#include "attach/target.h"
#include "base/file_key.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"

namespace mapwatch::app {

/// A binary with all that is derived from it. `binary` reads `file`'s bytes: one lives as long as the other.
struct WatchedBinary {
  elf::MappedFile file;
  elf::GoBinary binary;
  attach::Plan plan;
};

class BinaryCache {
 public:
  /// Of the file that `target` runs. Errors: of GoBinary::parse and plan_probes.
  Result<std::shared_ptr<const WatchedBinary>> load(const attach::Target& target);

 private:
  std::map<FileKey, std::weak_ptr<const WatchedBinary>> binaries_;
};

}  // namespace mapwatch::app
