#include "base/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/read_all.h"
#include "base/unique_fd.h"

namespace mapwatch::proc {
namespace {

constexpr std::size_t kSmallFile = 64U << 10;
constexpr std::size_t kMapsLimit = 64U << 20;  // 65,530 mappings (vm.max_map_count) of ~200 bytes are 13 MB
constexpr std::size_t kArgsLimit = 4U << 20;
constexpr std::string_view kDeleted = " (deleted)";

/// The numeric names in a directory, ascending.
Result<std::vector<int>> numeric_entries(const std::string& path, std::size_t limit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) {
    if (errno == ENOENT) {
      return fail(ErrorKind::kGone, "no directory " + path);
    }
    return fail_errno("cannot list " + path);
  }
  std::vector<int> ids;
  while (ids.size() < limit) {
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      break;
    }
    const char* end = entry->d_name + std::strlen(entry->d_name);
    int id = 0;
    const auto [stop, error] = std::from_chars(entry->d_name, end, id);
    if (error == std::errc() && stop == end && id > 0) {
      ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::string> split_nul(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

tl::unexpected<Error> no_process(int pid) { return fail(ErrorKind::kGone, "no process " + std::to_string(pid)); }

tl::unexpected<Error> malformed(const std::string& path) {
  return fail(ErrorKind::kMalformed, path + " is not in the form that Linux gives it",
              "is --procfs the mount point of a proc file system?");
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) {
    return fail_errno("cannot open " + path);
  }
  auto text = read_all(fd.get(), limit);
  if (!text) {
    return fail_errno("cannot read " + path);
  }
  return std::move(*text);
}

std::string ProcFs::path(int pid, std::string_view file) const {
  std::string path = root_ + "/" + std::to_string(pid);
  if (!file.empty()) {
    path += '/';
    path += file;
  }
  return path;
}

Result<std::string> ProcFs::read(int pid, std::string_view file, std::size_t limit) const {
  auto text = read_file(path(pid, file), limit);
  if (!text && ::access(path(pid, "").c_str(), F_OK) != 0) {
    return no_process(pid);
  }
  return text;
}

Result<std::vector<int>> ProcFs::pids() const {
  auto pids = numeric_entries(root_, SIZE_MAX);
  if (!pids) {
    return fail(ErrorKind::kFailed, std::move(pids).error().message, "is --procfs right?");
  }
  return pids;
}

Result<std::vector<int>> ProcFs::threads(int pid, std::size_t limit) const {
  auto ids = numeric_entries(path(pid, "task"), limit);
  if (!ids && ids.error().kind == ErrorKind::kGone) {
    return no_process(pid);
  }
  return ids;
}

Result<std::string> ProcFs::comm(int pid) const {
  std::string text = TRY(read(pid, "comm", kSmallFile));
  if (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

Result<std::vector<std::string>> ProcFs::cmdline(int pid) const {
  return split_nul(TRY(read(pid, "cmdline", kArgsLimit)));
}

Result<std::vector<std::string>> ProcFs::environment(int pid) const {
  return split_nul(TRY(read(pid, "environ", kArgsLimit)));
}

Result<Stat> ProcFs::stat(int pid) const {
  const auto stat = parse_stat(TRY(read(pid, "stat", kSmallFile)));
  if (!stat) {
    return malformed(path(pid, "stat"));
  }
  return *stat;
}

Result<Stat> ProcFs::thread_stat(int pid, int tid) const {
  const std::string file = "task/" + std::to_string(tid) + "/stat";
  const auto stat = parse_stat(TRY(read(pid, file, kSmallFile)));
  if (!stat) {
    return malformed(path(pid, file));
  }
  return *stat;
}

Result<Status> ProcFs::status(int pid) const {
  const auto status = parse_status(TRY(read(pid, "status", kSmallFile)));
  if (!status) {
    return malformed(path(pid, "status"));
  }
  return *status;
}

Result<Status> ProcFs::thread_status(int pid, int tid) const {
  const std::string file = "task/" + std::to_string(tid) + "/status";
  const auto status = parse_status(TRY(read(pid, file, kSmallFile)));
  if (!status) {
    return malformed(path(pid, file));
  }
  return *status;
}

Result<std::optional<Place>> ProcFs::thread_place(int pid, int tid) const {
  auto text = read(pid, "task/" + std::to_string(tid) + "/syscall", kSmallFile);
  if (!text && (text.error().kind == ErrorKind::kPermission || text.error().kind == ErrorKind::kGone)) {
    return tl::unexpected(std::move(text).error());
  }
  return text ? parse_syscall(*text) : std::nullopt;
}

Result<std::string> ProcFs::boot_id() const {
  std::string text = TRY(read_file(root_ + "/sys/kernel/random/boot_id", kSmallFile));
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

Result<ExeLink> ProcFs::exe(int pid) const {
  std::string target(4096, '\0');
  const std::string link = path(pid, "exe");
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  if (length < 0) {
    const int error = errno;
    if (::access(path(pid, "").c_str(), F_OK) != 0) {
      return no_process(pid);
    }
    if (error == ENOENT) {
      return fail(ErrorKind::kGone, link + " leads nowhere: a kernel thread, or a process at its end");
    }
    return fail_errno("cannot read " + link, error);
  }
  target.resize(static_cast<std::size_t>(length));
  ExeLink exe;
  exe.path = std::move(target);
  // A file may really be called "x (deleted)": then it is there, in the process' own root, under that name.
  if (exe.path.ends_with(kDeleted) && ::access((path(pid, "root") + exe.path).c_str(), F_OK) != 0) {
    exe.path.resize(exe.path.size() - kDeleted.size());
    exe.deleted = true;
  }
  return exe;
}

Result<CgroupPaths> ProcFs::cgroup(int pid) const { return parse_cgroup(TRY(read(pid, "cgroup", kSmallFile))); }

Result<std::vector<MapEntry>> ProcFs::maps(int pid) const {
  const std::string text = TRY(read(pid, "maps", kMapsLimit));
  std::vector<MapEntry> entries;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    auto entry = parse_maps_line(rest.substr(0, end));
    if (!entry) {
      return malformed(path(pid, "maps"));
    }
    entries.push_back(std::move(*entry));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return entries;
}

Result<std::optional<std::uint64_t>> ProcFs::auxv(int pid, std::uint64_t key) const {
  const std::string text = TRY(read(pid, "auxv", kSmallFile));
  for (std::size_t at = 0; at + 16 <= text.size(); at += 16) {
    std::uint64_t entry[2];
    std::memcpy(entry, text.data() + at, sizeof entry);
    if (entry[0] == 0) {
      break;
    }
    if (entry[0] == key) {
      return entry[1];
    }
  }
  return std::optional<std::uint64_t>();
}

double own_cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace mapwatch::proc
