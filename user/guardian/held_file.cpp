#include "guardian/held_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/unique_fd.h"
#include "base/write_all.h"

namespace mapwatch::guardian {
namespace {

constexpr std::string_view kSuffix = ".held";
constexpr std::string_view kHeadline = "mapwatch-held 1";
constexpr std::size_t kMaxFile = 64 * 1024;
constexpr std::size_t kMaxSites = 64;

tl::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorKind::kMalformed, "record of a held process: " + what,
              "remove the file if no mapwatch runs; `kill -CONT PID` lets a stopped process go");
}

/// Words of one line, the first being its name.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const std::size_t begin = std::min(rest_.find_first_not_of(' '), rest_.size());
    const std::size_t end = std::min(rest_.find(' ', begin), rest_.size());
    const std::string_view word = rest_.substr(begin, end - begin);
    rest_.remove_prefix(end);
    return word;
  }
  template <typename T>
  std::optional<T> number(int base = 10) {
    const std::string_view word = next();
    T value{};
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
    return error == std::errc() && stop == word.data() + word.size() && !word.empty() ? std::optional<T>(value)
                                                                                      : std::nullopt;
  }

 private:
  std::string_view rest_;
};

bool take_key(Words& words, ProcessKey& key, int least_pid = 1) {
  const auto pid = words.number<int>();
  const auto start = words.number<std::uint64_t>();
  if (!pid || !start || *pid < least_pid) {
    return false;
  }
  key = {*pid, *start};
  return true;
}

bool take_line(std::string_view name, Words& words, HeldRecord& record) {
  if (name == "process") {
    return take_key(words, record.process);
  }
  if (name == "owner") {
    return take_key(words, record.owner);
  }
  if (name == "guardian") {
    return take_key(words, record.guardian, 0);  // 0: it had died by then
  }
  if (name == "boot") {
    record.boot_id = std::string(words.next());
    return !record.boot_id.empty();
  }
  if (name == "exe") {
    const auto dev = words.number<std::uint64_t>();
    const auto inode = words.number<std::uint64_t>();
    record.exe_dev = dev.value_or(0);
    record.exe_inode = inode.value_or(0);
    return dev && inode;
  }
  if (name == "site") {
    const auto site = words.number<std::uint64_t>(16);
    if (!site || record.sites.size() >= kMaxSites) {
      return false;
    }
    record.sites.push_back(*site);
    return true;
  }
  return false;
}

Result<void> write_whole(const std::string& path, const std::string& text) {
  const std::string draft = path + "." + std::to_string(::getpid());
  ::unlink(draft.c_str());  // left by a dead process that had our PID
  const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    return fail_errno("cannot create " + draft, errno, "give a run directory that mapwatch may write to: --run-dir");
  }
  if (auto written = write_all(fd.get(), text, draft); !written) {
    ::unlink(draft.c_str());
    return written;
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    auto error = fail_errno("cannot rename " + draft + " to " + path);
    ::unlink(draft.c_str());
    return error;
  }
  return {};
}

}  // namespace

std::string encode(const HeldRecord& record) {
  const auto key = [](const char* name, const ProcessKey& process) {
    return std::string(name) + " " + std::to_string(process.pid) + " " + std::to_string(process.start_time) + "\n";
  };
  std::string text = std::string(kHeadline) + "\n" + key("process", record.process) + "boot " + record.boot_id + "\n" +
                     "exe " + std::to_string(record.exe_dev) + " " + std::to_string(record.exe_inode) + "\n" +
                     key("owner", record.owner) + key("guardian", record.guardian);
  for (const std::uint64_t site : record.sites) {
    char line[32];
    std::snprintf(line, sizeof(line), "site %llx\n", static_cast<unsigned long long>(site));
    text += line;
  }
  return text;
}

Result<HeldRecord> parse_held(std::string_view text) {
  HeldRecord record;
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return malformed("its last line is cut off");
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (std::exchange(first, false)) {
      if (line != kHeadline) {
        return malformed("it does not begin with \"" + std::string(kHeadline) + "\"");
      }
      continue;
    }
    Words words(line);
    const std::string_view name = words.next();
    if (!take_line(name, words, record) || !words.next().empty()) {
      return malformed("a line is not understood");
    }
  }
  if (record.process.pid == 0 || record.boot_id.empty() || record.owner.pid == 0) {
    return malformed("it names no process, boot or owner");
  }
  return record;
}

Result<HeldFile> HeldFile::write(const std::string& run_dir, const HeldRecord& record) {
  const std::string path = run_dir + "/" + std::to_string(record.process.pid) + "-" +
                           std::to_string(record.process.start_time) + std::string(kSuffix);
  TRY(write_whole(path, encode(record)));
  return HeldFile(path);
}

HeldFile::HeldFile(HeldFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}

HeldFile& HeldFile::operator=(HeldFile&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

void HeldFile::remove() {
  if (!path_.empty()) {
    ::unlink(path_.c_str());
    path_.clear();
  }
}

Result<void> HeldFile::rewrite(const HeldRecord& record) { return write_whole(path_, encode(record)); }

Result<HeldRecord> read_held(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    return fail_errno("cannot open " + path);
  }
  struct stat file = {};
  if (::fstat(fd.get(), &file) != 0) {
    return fail_errno("cannot stat " + path);
  }
  if (!S_ISREG(file.st_mode) || (file.st_uid != ::geteuid() && file.st_uid != 0)) {
    return fail(ErrorKind::kPermission, path + " belongs to somebody else", "remove it");
  }
  const std::string text = TRY(proc::read_file("/proc/self/fd/" + std::to_string(fd.get()), kMaxFile));
  auto record = parse_held(text);
  if (!record) {
    Error error = std::move(record).error();
    error.message = path + ": " + error.message;
    return tl::unexpected<Error>(std::move(error));
  }
  return record;
}

std::vector<std::string> list_held(const std::string& run_dir) {
  std::vector<std::string> paths;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(run_dir.c_str()), ::closedir);
  while (dir) {
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      break;
    }
    const std::string_view name = entry->d_name;
    if (name.ends_with(kSuffix)) {
      paths.push_back(run_dir + "/" + std::string(name));
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::optional<ProcessKey> process_key(int pid, const proc::ProcFs& procfs) {
  const auto stat = procfs.stat(pid);
  return stat ? std::optional<ProcessKey>({pid, stat->start_time}) : std::nullopt;
}

bool lives(const ProcessKey& key, const proc::ProcFs& procfs) {
  const auto stat = procfs.stat(key.pid);
  return stat && stat->start_time == key.start_time && !stat->dead();
}

}  // namespace mapwatch::guardian
