#include "dossier/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/escape.h"
#include "base/sha256.h"

namespace mapwatch::dossier {
namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 30;

/// Of the directory, sorted, by a descriptor of its own: the position belongs to the descriptor.
Result<std::vector<std::string>> names_in(int dir, const std::string& path) {
  const int own = ::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(own < 0 ? nullptr : ::fdopendir(own), ::closedir);
  if (!stream) {
    return fail_errno("cannot list " + escape(path));
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<std::string> read_file(int fd, const std::string& shown) {
  struct stat stat = {};
  if (::fstat(fd, &stat) != 0) {
    return fail_errno("cannot read " + escape(shown));
  }
  if (!S_ISREG(stat.st_mode) || static_cast<std::uint64_t>(stat.st_size) > kMaxFile) {
    return fail(ErrorKind::kMalformed, escape(shown) + " is no file of a dossier");
  }
  std::string text(static_cast<std::size_t>(stat.st_size), '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t more = ::pread(fd, text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (more < 0 && errno == EINTR) {
      continue;
    }
    if (more < 0) {
      return fail_errno("cannot read " + escape(shown));
    }
    if (more == 0) {
      break;
    }
    got += static_cast<std::size_t>(more);
  }
  text.resize(got);
  return text;
}

Result<std::optional<Snapshot>> Snapshot::take(int store, const std::string& id, const std::string& path) {
  const UniqueFd dir(::openat(store, id.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat opened = {};
  if (!dir || ::fstat(dir.get(), &opened) != 0) {
    return errno == ENOENT ? Result<std::optional<Snapshot>>(std::nullopt) : fail_errno("cannot open " + escape(path));
  }
  Snapshot snapshot;
  snapshot.path_ = path;
  snapshot.time_s_ = opened.st_mtim.tv_sec;
  for (const std::string& name : TRY(names_in(dir.get(), path))) {
    UniqueFd fd(::openat(dir.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    const int error = fd ? 0 : errno;
    snapshot.files_.push_back({name, std::move(fd), error});
  }
  // Its files are removed when it has lost its name, not before: all of them were there if it has its name still.
  struct stat now = {};
  if (::fstatat(store, id.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0 || now.st_ino != opened.st_ino ||
      now.st_dev != opened.st_dev) {
    return std::nullopt;
  }
  return snapshot;
}

std::vector<std::string> Snapshot::names() const {
  std::vector<std::string> names;
  for (const File& file : files_) {
    names.push_back(file.name);
  }
  return names;
}

Result<std::string> Snapshot::read(const std::string& name) const {
  const std::string shown = path_ + "/" + name;
  const auto found = std::ranges::find(files_, name, &File::name);
  if (found == files_.end() || !found->fd) {
    return fail_errno("cannot read " + escape(shown), found == files_.end() ? ENOENT : found->error);
  }
  return read_file(found->fd.get(), shown);
}

Result<std::vector<std::string>> Snapshot::verify() const {
  std::vector<std::string> wrong;
  std::map<std::string, std::string> sums;
  const std::string text = TRY(read(std::string(kSums)));
  for_each_line(text, [&](const std::string& line) {
    if (line.size() < 67 || line.substr(64, 2) != "  " || line.find('/') != std::string::npos) {
      wrong.push_back(fmt::format("{}: not understood: {}", kSums, escape(line)));
    } else {
      sums[line.substr(66)] = line.substr(0, 64);
    }
  });
  for (const File& file : files_) {
    if (file.name != kSums && !sums.contains(file.name)) {
      wrong.push_back(escape(file.name) + ": not in " + std::string(kSums));
    }
  }
  for (const auto& [name, sum] : sums) {
    const auto file = read(name);
    if (!file) {
      wrong.push_back(fmt::format("{}: {}", escape(name), file.error().message));
    } else if (sha256_hex(*file) != sum) {
      wrong.push_back(escape(name) + ": changed");
    }
  }
  return wrong;
}

}  // namespace mapwatch::dossier
