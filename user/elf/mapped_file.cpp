#include "elf/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/unique_fd.h"
#include "elf/sigbus_guard.h"

namespace mapwatch::elf {

Result<MappedFile> MappedFile::open(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    return fail_errno("cannot open " + path);
  }
  return from_fd(fd.get(), path);
}

Result<MappedFile> MappedFile::from_fd(int fd, const std::string& name) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) {
    return fail_errno("cannot stat " + name);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kMalformed, name + " is not a regular file");
  }
  if (status.st_size == 0) {
    return fail(ErrorKind::kMalformed, name + " is empty");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  // Shared: into a private mapping of a file the kernel writes the breakpoints of every inode-wide uprobe on it
  // (kernel/events/uprobes.c, valid_vma), a program's own readers included. Some FUSE files can be mapped privately
  // only.
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED && errno == ENODEV) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  if (data == MAP_FAILED) {
    return fail_errno("cannot map " + name);
  }
  guard_mapping(data, size);
  return MappedFile(data, size);
}

void MappedFile::forget_pages() const {
  // A mapping that stays resident is no failure.
  (void)::madvise(data_, size_, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    unguard_mapping(data_);
    munmap(data_, size_);
  }
}

}  // namespace mapwatch::elf
