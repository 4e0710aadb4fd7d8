#include "app/exe_kinds.h"

#include <fcntl.h>

#include "base/unique_fd.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"

namespace mapwatch::app {

std::optional<bool> ExeKinds::is_go(const std::string& path, const FileKey& key) {
  if (const auto found = known_.find(key); found != known_.end()) {
    order_.splice(order_.begin(), order_, found->second.order);
    return found->second.go;
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    return std::nullopt;
  }
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0 || FileKey::of(status) != key) {
    errno = ESRCH;  // another program by now, of which there is an exec to come
    return std::nullopt;
  }
  ++reads_;
  const auto file = elf::MappedFile::from_fd(fd.get(), path);
  const bool go = file && elf::read_build_info(file->bytes()).has_value();
  if (known_.size() >= limit_) {
    known_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(key);
  known_.emplace(key, Known{go, order_.begin()});
  return go;
}

}  // namespace mapwatch::app
