#include "witness/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace mapwatch::witness {
namespace {

constexpr std::size_t kMostLines = 64;
constexpr std::size_t kMostRecords = 4096;
constexpr std::size_t kRecordBytes = 16384;  // CONSOLE_EXT_LOG_MAX of the kernel is 8192

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<KernelLine> parse_kernel_record(std::string_view record) {
  const std::size_t head = record.find(';');
  if (head == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view fields = record.substr(0, head);
  for (int skipped = 0; skipped < 2; ++skipped) {  // priority, number
    const std::size_t comma = fields.find(',');
    if (comma == std::string_view::npos) {
      return std::nullopt;
    }
    fields.remove_prefix(comma + 1);
  }
  std::uint64_t us = 0;
  const auto [end, error] = std::from_chars(fields.data(), fields.data() + fields.size(), us);
  if (error != std::errc() || us > UINT64_MAX / 1000 || (end != fields.data() + fields.size() && *end != ',')) {
    return std::nullopt;
  }
  const std::string_view text = record.substr(head + 1);
  return KernelLine{us * 1000, std::string(text.substr(0, text.find('\n')))};
}

bool names_process(std::string_view text, int pid) {
  constexpr std::array<std::string_view, 6> kBefore = {"[", "PID: ", "pid ", "pid=", "pid: ", "process "};
  const std::string number = std::to_string(pid);
  for (std::size_t at = text.find(number); at != std::string_view::npos; at = text.find(number, at + 1)) {
    const std::string_view before = text.substr(0, at);
    const std::size_t after = at + number.size();
    if (after < text.size() && is_digit(text[after])) {
      continue;
    }
    for (const std::string_view way : kBefore) {
      if (before.ends_with(way) && (way != "[" || (after < text.size() && text[after] == ']'))) {
        return true;
      }
    }
    if (before.ends_with(':') && before.find("task ") != std::string_view::npos) {
      return true;  // "INFO: task race:4211 blocked for more than 120 seconds."
    }
  }
  return false;
}

Result<KernelLog> KernelLog::open_at_end(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd || ::lseek(fd.get(), 0, SEEK_END) < 0) {
    return fail_errno("cannot read " + path);
  }
  return KernelLog(std::move(fd));
}

KernelLog::Lines KernelLog::lines_of(int pid) const {
  Lines found;
  std::vector<char> record(kRecordBytes);
  for (std::size_t i = 0; i < kMostRecords; ++i) {
    const ssize_t got = ::read(fd_.get(), record.data(), record.size());
    if (got < 0 && errno == EPIPE) {
      found.cut = true;  // overwritten: the next read goes on behind them
      continue;
    }
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return found;
    }
    auto line = parse_kernel_record({record.data(), static_cast<std::size_t>(got)});
    if (line && names_process(line->text, pid)) {
      if (found.lines.size() == kMostLines) {
        break;
      }
      found.lines.push_back(std::move(*line));
    }
  }
  found.cut = true;
  return found;
}

}  // namespace mapwatch::witness
