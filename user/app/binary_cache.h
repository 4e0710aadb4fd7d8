// Binaries by (device, inode): read once, planned once, shared by all processes that run them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "attach/plan.h"
#include "attach/target.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"

namespace mapwatch::app {

/// A binary with all that is derived from it. `binary` reads `file`'s bytes: one lives as long as the other.
struct WatchedBinary {
  elf::MappedFile file;
  elf::GoBinary binary;
  attach::Plan plan;
  std::uint32_t layout = 0;
  std::uint32_t first_site = 0;
};

class BinaryCache {
 public:
  /// Of the file that `target` runs. Errors: of GoBinary::parse and plan_probes; kUnsupported beyond MW_MAX_LAYOUTS
  /// binaries or MW_MAX_SITES sites.
  Result<std::shared_ptr<const WatchedBinary>> load(const attach::Target& target);

  std::uint32_t sites() const { return next_site_; }

 private:
  std::map<std::pair<dev_t, ino_t>, std::shared_ptr<const WatchedBinary>> binaries_;
  std::uint32_t next_layout_ = 0;
  std::uint32_t next_site_ = 0;
};

}  // namespace mapwatch::app
