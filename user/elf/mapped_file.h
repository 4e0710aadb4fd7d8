// A file of the target mapped read-only. A hostile or replaced file may shrink under the mapping; reads beyond its
// new end then give zeros instead of killing mapwatch (SIGBUS handler, installed once by the first mapping). Uprobes of
// other tracers on the file do not show in it.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace mapwatch::elf {

class MappedFile {
 public:
  /// `path` may be /proc/PID/exe.
  static Result<MappedFile> open(const std::string& path);
  static Result<MappedFile> from_fd(int fd, const std::string& name);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  Bytes bytes() const { return Bytes(data_, size_); }
  /// Gives the pages that were read back to the kernel's cache: they are read again when they are asked for.
  void forget_pages() const;

 private:
  MappedFile(void* data, std::size_t size) : data_(data), size_(size) {}
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace mapwatch::elf
