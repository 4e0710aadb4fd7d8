#include "dossier/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "base/escape.h"
#include "base/make_directories.h"
#include "base/sha256.h"
#include "base/write_all.h"

namespace mapwatch::dossier {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnfinished = ".unfinished-";
// A dossier is completed once. Whoever finds it replaced more often than that is in the way of something else.
constexpr int kMostTakes = 20;

bool valid_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && id.front() != '.' && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

Result<UniqueFd> open_own(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    const int why = errno;
    return why == ENOENT ? fail(ErrorKind::kGone, "there are no dossiers in " + escape(path))
                         : fail_errno("cannot open " + escape(path), why);
  }
  struct stat stat = {};
  if (::fstat(fd.get(), &stat) != 0) {
    return fail_errno("cannot look at " + escape(path));
  }
  if (stat.st_uid != ::geteuid() || (stat.st_mode & 022) != 0) {
    return fail(ErrorKind::kUsage, fmt::format("{} belongs to another user, or others may write to it", escape(path)),
                "dossiers hold what was in a process's memory: choose another --state-dir");
  }
  return fd;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// Held while dossiers are added or removed: the other mapwatch processes wait.
class Lock {
 public:
  explicit Lock(int fd) : fd_(fd) { ok_ = ::flock(fd_, LOCK_EX) == 0; }
  ~Lock() { ::flock(fd_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  bool ok() const { return ok_; }

 private:
  int fd_;
  bool ok_ = false;
};

}  // namespace

std::string sum_line(const std::string& name, std::string_view text) {
  return fmt::format("{}  {}\n", sha256_hex(text), name);
}

std::string sums_text(const std::vector<DossierFile>& files) {
  std::string text;
  for (const DossierFile& file : files) {
    text += sum_line(file.name, file.text);
  }
  return text;
}

Result<Store> Store::open(const std::string& state_dir, bool create, StoreLimits limits) {
  std::string path = state_dir + "/dossiers";
  if (create) {
    TRY(make_directories(state_dir));
    TRY(make_directories(path));
  }
  UniqueFd dir = TRY(open_own(path));
  return Store(std::move(path), std::move(dir), limits);
}

void Store::remove_unfinished() {
  for (const std::string& name : names_in(path_)) {
    if (name.starts_with(kUnfinished)) {
      std::error_code error;  // what cannot be removed is tried again next time
      fs::remove_all(path_of(name), error);
    }
  }
}

Result<void> Store::write(const std::string& temporary, const std::vector<DossierFile>& files) {
  if (::mkdirat(dir_.get(), temporary.c_str(), 0700) != 0) {
    return fail_errno("cannot create " + path_of(temporary));
  }
  const UniqueFd dir(::openat(dir_.get(), temporary.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) {
    return fail_errno("cannot open " + path_of(temporary));
  }
  for (const DossierFile& file : files) {
    const std::string shown = path_of(temporary) + "/" + file.name;
    const UniqueFd fd(
        ::openat(dir.get(), file.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) {
      return fail_errno("cannot create " + shown);
    }
    TRY(write_all(fd.get(), file.text, shown));
    if (::fsync(fd.get()) != 0) {
      return fail_errno("cannot write " + shown);
    }
  }
  return {};
}

Result<std::string> Store::add(const std::string& id, const std::vector<DossierFile>& files) {
  if (!valid_id(id)) {
    return fail(ErrorKind::kFailed, fmt::format("\"{}\" cannot be the name of a dossier", escape(id)));
  }
  const Lock lock(dir_.get());
  if (!lock.ok()) {
    return fail_errno("cannot lock " + path_);
  }
  remove_unfinished();  // of a mapwatch that was killed: nobody else writes while the lock is held
  const std::string temporary = std::string(kUnfinished) + id;
  std::vector<DossierFile> all = files;
  all.push_back({std::string(kSums), sums_text(files)});
  auto written = write(temporary, all);
  if (written && ::renameat(dir_.get(), temporary.c_str(), dir_.get(), id.c_str()) != 0) {
    written = fail_errno("cannot rename " + path_of(temporary));
  }
  if (!written) {
    std::error_code error;
    fs::remove_all(path_of(temporary), error);
    return tl::unexpected(written.error());
  }
  ::fsync(dir_.get());  // the files are safe; a lost rename would lose the dossier, which a dead machine may
  TRY(prune(id));
  return path_of(id);
}

Result<void> Store::link_others(const std::string& id, const std::string& temporary) {
  for (const std::string& name : names_in(path_of(id))) {
    const std::string from = id + "/" + name;
    if (::linkat(dir_.get(), from.c_str(), dir_.get(), (temporary + "/" + name).c_str(), 0) != 0 && errno != EEXIST) {
      return fail_errno("cannot link " + path_of(from));
    }
  }
  return {};
}

Result<void> Store::exchange(const std::string& temporary, const std::string& id) {
  if (::renameat2(dir_.get(), temporary.c_str(), dir_.get(), id.c_str(), RENAME_EXCHANGE) == 0) {
    return {};
  }
  // A file system that cannot exchange: for a moment there is neither.
  const std::string aside = temporary + ".old";
  if (errno != EINVAL || ::renameat(dir_.get(), id.c_str(), dir_.get(), aside.c_str()) != 0) {
    return fail_errno("cannot rename " + path_of(temporary));
  }
  if (::renameat(dir_.get(), temporary.c_str(), dir_.get(), id.c_str()) != 0) {
    const int why = errno;
    ::renameat(dir_.get(), aside.c_str(), dir_.get(), id.c_str());
    return fail_errno("cannot rename " + path_of(temporary), why);
  }
  return {};
}

Result<void> Store::replace(const std::string& id, const std::vector<DossierFile>& files) {
  const Lock lock(dir_.get());
  if (!lock.ok()) {
    return fail_errno("cannot lock " + path_);
  }
  remove_unfinished();
  const std::string old_sums = TRY(read(id, std::string(kSums)));
  std::vector<DossierFile> all = files;
  std::string sums = sums_text(files);
  for_each_line(old_sums, [&](const std::string& line) {
    const bool replaced = std::ranges::any_of(files, [&](const DossierFile& file) {
      return line.ends_with("  " + file.name) && line.size() == 66 + file.name.size();
    });
    sums += replaced ? "" : line + "\n";
  });
  all.push_back({std::string(kSums), std::move(sums)});
  const std::string temporary = std::string(kUnfinished) + id;
  auto done = write(temporary, all);
  done = done ? link_others(id, temporary) : done;
  done = done ? exchange(temporary, id) : done;
  ::fsync(dir_.get());
  remove_unfinished();  // what was in its place
  return done;
}

Result<void> Store::discard(const std::string& id) {
  // Its name first: nobody finds half of it.
  const std::string aside = std::string(kUnfinished) + id;
  if (::renameat(dir_.get(), id.c_str(), dir_.get(), aside.c_str()) != 0) {
    return fail_errno("cannot remove " + path_of(id));
  }
  std::error_code error;
  fs::remove_all(path_of(aside), error);
  return error ? fail(ErrorKind::kFailed, fmt::format("cannot remove {}: {}", path_of(aside), error.message()))
               : Result<void>();
}

Result<void> Store::prune(const std::string& newest) {
  std::vector<DossierEntry> entries = TRY(list());
  std::uint64_t bytes = 0;
  for (const DossierEntry& entry : entries) {
    bytes += entry.bytes;
  }
  std::size_t count = entries.size();
  for (const DossierEntry& entry : entries) {
    if (count <= limits_.count && bytes <= limits_.bytes) {
      break;
    }
    if (entry.id == newest) {
      continue;
    }
    TRY(discard(entry.id));
    --count;
    bytes -= entry.bytes;
  }
  return {};
}

Result<std::vector<DossierEntry>> Store::list() const {
  std::vector<DossierEntry> entries;
  for (const std::string& id : names_in(path_)) {
    if (!valid_id(id)) {
      continue;
    }
    DossierEntry entry{id, 0};
    for (const std::string& name : names_in(path_of(id))) {
      struct stat stat = {};
      if (::lstat((path_of(id) + "/" + name).c_str(), &stat) == 0) {
        entry.bytes += static_cast<std::uint64_t>(stat.st_size);
      }
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<struct stat> Store::check(const std::string& id) const {
  struct stat stat = {};
  if (!valid_id(id) || ::fstatat(dir_.get(), id.c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(stat.st_mode)) {
    return fail(ErrorKind::kUsage, fmt::format("there is no dossier {} in {}", escape(id), escape(path_)),
                "see mapwatch dossier ls");
  }
  return stat;
}

Result<Snapshot> Store::snapshot(const std::string& id) const {
  for (int i = 0; i < kMostTakes; ++i) {
    TRY(check(id));
    if (auto taken = TRY(Snapshot::take(dir_.get(), id, path_of(id)))) {
      return std::move(*taken);
    }
  }
  return fail(ErrorKind::kFailed, fmt::format("{} changes all the time", escape(path_of(id))), "try again");
}

Result<std::string> Store::read(const std::string& id, const std::string& file) const {
  TRY(check(id));
  const std::string shown = path_of(id) + "/" + file;
  const UniqueFd fd(::openat(dir_.get(), (id + "/" + file).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  return fd ? read_file(fd.get(), shown) : fail_errno("cannot read " + escape(shown));
}

Result<std::vector<std::string>> Store::verify(const std::string& id) const {
  const Snapshot dossier = TRY(snapshot(id));
  return dossier.verify();
}

Result<void> Store::remove(const std::string& id) {
  const Lock lock(dir_.get());
  if (!lock.ok()) {
    return fail_errno("cannot lock " + path_);
  }
  TRY(check(id));
  return discard(id);
}

}  // namespace mapwatch::dossier
