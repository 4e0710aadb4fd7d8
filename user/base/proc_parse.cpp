// The parsers of /proc text: no I/O.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/proc.h"

namespace mapwatch::proc {
namespace {

constexpr std::size_t kMaxCpus = 65536;        // CONFIG_NR_CPUS is at most 8192 on x86; a list beyond this is no list
constexpr std::size_t kMaxPidNamespaces = 64;  // the kernel nests at most 32 (MAX_PID_NS_LEVEL)

/// The whole of `text` as a number.
template <typename T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return value;
}

/// Takes the next word off `rest`; empty at the end.
std::string_view next_word(std::string_view& rest) {
  const std::size_t begin = rest.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) {
    rest = {};
    return {};
  }
  const std::size_t end = std::min(rest.find_first_of(" \t\n", begin), rest.size());
  const std::string_view word = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return word;
}

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

/// The kernel writes \n as \012 in the paths of maps (mangle_path).
std::string decode_path(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 4) == "\\012") {
      out += '\n';
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool lists(std::string_view comma_separated, std::string_view name) {
  while (!comma_separated.empty()) {
    const std::size_t end = comma_separated.find(',');
    if (comma_separated.substr(0, end) == name) {
      return true;
    }
    comma_separated.remove_prefix(end == std::string_view::npos ? comma_separated.size() : end + 1);
  }
  return false;
}

void set_field(Status& status, std::string_view key, std::string_view value) {
  std::string_view rest = value;
  const std::string_view first = next_word(rest);
  if (key == "State") {
    status.state = first.empty() ? '?' : first.front();
  } else if (key == "Tgid") {
    status.tgid = number<int>(first).value_or(0);
  } else if (key == "TracerPid") {
    status.tracer_pid = number<int>(first).value_or(0);
  } else if (key == "Uid") {
    status.real_uid = number<std::uint32_t>(first).value_or(0);
    status.effective_uid = number<std::uint32_t>(next_word(rest)).value_or(status.real_uid);
  } else if (key == "Threads") {
    status.threads = number<unsigned>(first).value_or(0);
  } else if (key == "VmRSS") {
    status.rss_bytes = number<std::uint64_t>(first).value_or(0) * 1024;
  } else if (key == "ShdPnd") {
    status.pending_signals = number<std::uint64_t>(first, 16).value_or(0);
  } else if (key == "SigCgt") {
    status.caught_signals = number<std::uint64_t>(first, 16).value_or(0);
  } else if (key == "Cpus_allowed") {
    status.cpus_allowed = parse_cpu_mask(value).value_or(CpuSet{});
  } else if (key == "NSpid") {
    rest = value;
    for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
      if (const auto pid = number<int>(word); pid && status.ns_pids.size() < kMaxPidNamespaces) {
        status.ns_pids.push_back(*pid);
      }
    }
  }
}

}  // namespace

std::size_t CpuSet::count() const { return static_cast<std::size_t>(std::count(bits.begin(), bits.end(), true)); }

void CpuSet::add(const CpuSet& other) {
  bits.resize(std::max(bits.size(), other.bits.size()));
  for (std::size_t i = 0; i < other.bits.size(); ++i) {
    bits[i] = bits[i] || other.bits[i];
  }
}

void CpuSet::keep(const CpuSet& other) {
  bits.resize(std::min(bits.size(), other.bits.size()));
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = bits[i] && other.bits[i];
  }
}

std::uint64_t age_ns(std::uint64_t start_time, std::uint64_t boottime_ns) {
  static const auto tick_ns = 1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return boottime_ns - std::min(boottime_ns, start_time * tick_ns);
}

std::optional<Stat> parse_stat(std::string_view text) {
  // comm may hold spaces, parentheses and newlines: it ends at the last ')', for the fields after it hold none.
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return std::nullopt;
  }
  Stat stat;
  const auto pid = number<int>(text.substr(0, open));
  if (!pid) {
    return std::nullopt;
  }
  stat.pid = *pid;
  stat.comm = std::string(text.substr(open + 2, close - open - 2));
  std::string_view rest = text.substr(close + 1);
  const std::string_view state = next_word(rest);
  if (state.size() != 1) {
    return std::nullopt;
  }
  stat.state = state.front();
  // proc(5) counts fields from 1: state is field 3, policy 41.
  std::array<std::string_view, 42> fields;
  for (std::size_t i = 4; i < fields.size(); ++i) {
    fields[i] = next_word(rest);
  }
  const auto ppid = number<int>(fields[4]);
  const auto flags = number<std::uint64_t>(fields[9]);
  const auto user = number<std::uint64_t>(fields[14]);
  const auto system = number<std::uint64_t>(fields[15]);
  const auto start = number<std::uint64_t>(fields[22]);
  const auto policy = number<unsigned>(fields[41]);
  if (!ppid || !flags || !user || !system || !start || !policy) {
    return std::nullopt;
  }
  stat.ppid = *ppid;
  stat.flags = *flags;
  stat.user_ticks = *user;
  stat.system_ticks = *system;
  stat.start_time = *start;
  stat.policy = *policy;
  return stat;
}

std::optional<Status> parse_status(std::string_view text) {
  Status status;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      set_field(status, line.substr(0, colon), trim(line.substr(colon + 1)));
    }
  }
  if (status.tgid <= 0) {
    return std::nullopt;
  }
  return status;
}

std::optional<Place> parse_syscall(std::string_view text) {
  // "running", "-1 SP PC" or "NUMBER ARGS... SP PC"
  std::string_view sp;
  std::string_view pc;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    sp = pc;
    pc = word;
  }
  if (!sp.starts_with("0x") || !pc.starts_with("0x")) {
    return std::nullopt;
  }
  const auto sp_value = number<std::uint64_t>(sp.substr(2), 16);
  const auto pc_value = number<std::uint64_t>(pc.substr(2), 16);
  return sp_value && pc_value ? std::optional<Place>({*pc_value, *sp_value}) : std::nullopt;
}

CgroupPaths parse_cgroup(std::string_view text) {
  CgroupPaths paths;
  while (!text.empty()) {
    // "ID:CONTROLLERS:PATH"; the path may hold colons.
    const std::string_view line = next_line(text);
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      continue;
    }
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string path(line.substr(second + 1));
    if (line.substr(0, first) == "0" && controllers.empty()) {
      paths.unified = path;
      continue;
    }
    if (lists(controllers, "cpu")) {
      paths.cpu = path;
    }
    if (lists(controllers, "cpuset")) {
      paths.cpuset = path;
    }
    if (paths.named.empty() || controllers == "name=systemd") {
      paths.named = path;
    }
  }
  return paths;
}

std::optional<MapEntry> parse_maps_line(std::string_view line) {
  std::string_view rest = line;
  const std::string_view range = next_word(rest);
  const std::string_view mode = next_word(rest);
  const std::string_view offset = next_word(rest);
  const std::string_view device = next_word(rest);
  const std::string_view inode = next_word(rest);
  const std::size_t dash = range.find('-');
  const std::size_t colon = device.find(':');
  if (dash == std::string_view::npos || colon == std::string_view::npos || mode.size() != 4) {
    return std::nullopt;
  }
  const auto start = number<std::uint64_t>(range.substr(0, dash), 16);
  const auto end = number<std::uint64_t>(range.substr(dash + 1), 16);
  const auto file_offset = number<std::uint64_t>(offset, 16);
  const auto major = number<unsigned>(device.substr(0, colon), 16);
  const auto minor = number<unsigned>(device.substr(colon + 1), 16);
  const auto ino = number<std::uint64_t>(inode);
  if (!start || !end || *end < *start || !file_offset || !major || !minor || !ino) {
    return std::nullopt;
  }
  MapEntry entry;
  entry.start = *start;
  entry.end = *end;
  entry.readable = mode[0] == 'r';
  entry.writable = mode[1] == 'w';
  entry.executable = mode[2] == 'x';
  entry.shared = mode[3] == 's';
  entry.offset = *file_offset;
  entry.dev_major = *major;
  entry.dev_minor = *minor;
  entry.inode = *ino;
  // Padded with spaces up to a column, then the path with any spaces of its own.
  const std::size_t path = rest.find_first_not_of(' ');
  if (path != std::string_view::npos) {
    entry.path = decode_path(rest.substr(path));
  }
  return entry;
}

std::optional<CpuSet> parse_cpu_list(std::string_view text) {
  CpuSet set;
  text = trim(text);
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view range = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const std::size_t dash = range.find('-');
    const auto first = number<std::size_t>(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number<std::size_t>(range.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= kMaxCpus) {
      return std::nullopt;
    }
    set.bits.resize(std::max(set.bits.size(), *last + 1));
    std::fill(set.bits.begin() + static_cast<std::ptrdiff_t>(*first),
              set.bits.begin() + static_cast<std::ptrdiff_t>(*last) + 1, true);
  }
  return set;
}

std::optional<CpuSet> parse_cpu_mask(std::string_view text) {
  // Groups of 32 bits in hex, the highest first.
  text = trim(text);
  std::vector<std::uint32_t> groups;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const auto group = number<std::uint32_t>(text.substr(0, comma), 16);
    if (!group || groups.size() >= kMaxCpus / 32) {
      return std::nullopt;
    }
    groups.push_back(*group);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  if (groups.empty()) {
    return std::nullopt;
  }
  CpuSet set;
  set.bits.resize(groups.size() * 32);
  for (std::size_t i = 0; i < set.bits.size(); ++i) {
    set.bits[i] = (groups[groups.size() - 1 - i / 32] >> (i % 32) & 1U) != 0;
  }
  return set;
}

}  // namespace mapwatch::proc
