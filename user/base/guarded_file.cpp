#include "base/guarded_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/escape.h"
#include "base/read_all.h"
#include "base/unique_fd.h"

namespace mapwatch {

Result<GuardedFile> read_guarded_file(const std::string& path, std::size_t most) {
  const std::string shown = escape(path);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info = {};
  if (!file || ::fstat(file.get(), &info) != 0) {
    return fail_errno(shown);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kFailed, shown + " is no regular file");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorKind::kFailed, shown + ": others may change it", "chmod go-w it");
  }
  GuardedFile out;
  out.others_read = (info.st_mode & S_IRWXO) != 0;
  auto text = read_all(file.get(), most + 1);
  if (!text) {
    return fail_errno(shown);
  }
  out.text = std::move(*text);
  if (out.text.size() > most) {
    return fail(ErrorKind::kFailed, fmt::format("{} is longer than {} bytes", shown, most));
  }
  return out;
}

tl::unexpected<Error> others_read_it(const std::string& path) {
  return fail(ErrorKind::kFailed, escape(path) + ": others may read it, and it holds a secret", "chmod 600 it");
}

Result<std::string> read_secret_file(const std::string& path, std::size_t most) {
  GuardedFile file = TRY(read_guarded_file(path, most));
  if (file.others_read) {
    return others_read_it(path);
  }
  return std::move(file.text);
}

}  // namespace mapwatch
