#include "app/binary_cache.h"

namespace mapwatch::app {

Result<std::shared_ptr<const WatchedBinary>> BinaryCache::load(const attach::Target& target) {
  std::weak_ptr<const WatchedBinary>& known = binaries_[target.exe_key()];
  if (auto binary = known.lock()) {
    return binary;
  }
  std::erase_if(binaries_, [&](const auto& entry) { return entry.second.expired() && &entry.second != &known; });
  elf::MappedFile file = TRY(elf::MappedFile::from_fd(target.exe_fd(), target.exe_path()));
  elf::GoBinary binary = TRY(elf::GoBinary::parse(file.bytes()));
  attach::Plan plan = TRY(attach::plan_probes(binary));
  auto watched =
      std::make_shared<const WatchedBinary>(WatchedBinary{std::move(file), std::move(binary), std::move(plan)});
  known = watched;
  return watched;
}

}  // namespace mapwatch::app
