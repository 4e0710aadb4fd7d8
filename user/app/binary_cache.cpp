#include "app/binary_cache.h"

#include <fmt/format.h>

namespace mapwatch::app {

Result<std::shared_ptr<const WatchedBinary>> BinaryCache::load(const attach::Target& target) {
  const std::pair key(target.exe_dev(), target.exe_inode());
  if (const auto found = binaries_.find(key); found != binaries_.end()) {
    return found->second;
  }
  elf::MappedFile file = TRY(elf::MappedFile::from_fd(target.exe_fd(), target.exe_path()));
  elf::GoBinary binary = TRY(elf::GoBinary::parse(file.bytes()));
  attach::Plan plan = TRY(attach::plan_probes(binary));
  if (next_layout_ >= MW_MAX_LAYOUTS || MW_MAX_SITES - next_site_ < plan.probes.size()) {
    return fail(
        ErrorKind::kUnsupported,
        fmt::format("{}: more than {} binaries or {} sites at once", target.exe_path(), MW_MAX_LAYOUTS, MW_MAX_SITES),
        "watch fewer programs");
  }
  auto watched = std::make_shared<const WatchedBinary>(
      WatchedBinary{std::move(file), std::move(binary), std::move(plan), next_layout_, next_site_});
  next_layout_ += 1;
  next_site_ += static_cast<std::uint32_t>(watched->plan.probes.size());
  binaries_.emplace(key, watched);
  return watched;
}

}  // namespace mapwatch::app
