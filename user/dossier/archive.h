// Files packed into one tar.gz, written as they come.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct archive;

namespace mapwatch::dossier {

class ArchiveWriter {
 public:
  /// Writes to `fd`, which stays the caller's. `what` names it in errors.
  static Result<ArchiveWriter> create(int fd, std::string what);

  /// `path` within the archive, for its owner's eyes only (0700). `time_s`: of its last change, since 1970.
  Result<void> directory(const std::string& path, std::int64_t time_s);
  /// Likewise a file (0600).
  Result<void> file(const std::string& path, std::string_view text, std::int64_t time_s);
  /// Writes the end. Without it the archive is cut, and readers say so.
  Result<void> finish();

 private:
  struct Free {
    void operator()(archive* raw) const;
  };
  ArchiveWriter(archive* raw, std::string what) : archive_(raw), what_(std::move(what)) {}
  Result<void> entry(const std::string& path, unsigned type, unsigned mode, std::string_view text, std::int64_t time_s);
  Result<void> failed(std::string_view doing) const;

  std::unique_ptr<archive, Free> archive_;
  std::string what_;
};

}  // namespace mapwatch::dossier
