#include "attach/text_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace mapwatch::attach {
namespace {

constexpr std::uint8_t kBreakpoint = 0xCC;
constexpr std::size_t kMaxWindow = 64U << 10;
constexpr std::uint64_t kMaxGap = 4096;

std::string hex(std::span<const std::uint8_t> bytes) { return fmt::format("{:02x}", fmt::join(bytes, " ")); }

/// The file's code at its own virtual addresses.
MemoryReader reader_of(const elf::GoBinary& binary) {
  return [&binary](std::uint64_t address, std::span<std::uint8_t> out) {
    const auto code = binary.code(address, address + out.size());
    if (code) {
      std::memcpy(out.data(), code->data(), out.size());
    }
    return code.has_value();
  };
}

/// The text at a plan's probes, read in runs: a plan may hold 20,000 call sites.
class TextAtProbes {
 public:
  TextAtProbes(const Plan& plan, const MemoryReader& memory, std::uint64_t bias)
      : plan_(plan), memory_(memory), bias_(bias) {}

  /// As many bytes as `out` takes, from probe `index` on.
  bool read(std::size_t index, std::span<std::uint8_t> out) {
    const std::uint64_t address = plan_.probes[index].address;
    if (!covers(address, out.size())) {
      fill(index, out.size());
    }
    if (!covers(address, out.size())) {
      return memory_(address + bias_, out);  // a hole among the probes: this one may be readable by itself
    }
    std::copy_n(window_.begin() + static_cast<std::ptrdiff_t>(address - start_), out.size(), out.begin());
    return true;
  }

 private:
  bool covers(std::uint64_t address, std::size_t size) const {
    return address >= start_ && address - start_ <= window_.size() && window_.size() - (address - start_) >= size;
  }
  void fill(std::size_t index, std::size_t size) {
    const auto& probes = plan_.probes;
    std::size_t last = index;
    start_ = probes[index].address;
    while (last + 1 < probes.size() && probes[last + 1].address - probes[last].address <= kMaxGap &&
           probes[last + 1].address - start_ + arch::kMaxInstruction <= kMaxWindow) {
      ++last;
    }
    window_.resize(last == index ? size : probes[last].address - start_ + probes[last].bytes.size());
    if (!memory_(start_ + bias_, window_)) {
      window_.clear();
    }
  }

  const Plan& plan_;
  const MemoryReader& memory_;
  std::uint64_t bias_;
  std::uint64_t start_ = 0;
  std::vector<std::uint8_t> window_;
};

}  // namespace

Result<ProcessMemory> ProcessMemory::open(const Target& target, const proc::ProcFs& procfs) {
  const std::string path = procfs.path(target.pid(), "mem");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int error = errno;
    TRY(target.check());
    return fail_errno("cannot open " + path, error, "run mapwatch as root, or with CAP_SYS_PTRACE");
  }
  TRY(target.check());  // not another process' or program's memory under the same number
  return ProcessMemory(std::move(fd));
}

bool ProcessMemory::read(std::uint64_t address, std::span<std::uint8_t> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    done += static_cast<std::size_t>(got);
  }
  return true;
}

Result<TextNotes> verify_bytes(const Plan& plan, const elf::GoBinary& binary, const MemoryReader& memory,
                               std::uint64_t bias) {
  return verify_bytes(plan, reader_of(binary), memory, bias);
}

Result<TextNotes> verify_bytes(const Plan& plan, int file, const MemoryReader& memory, std::uint64_t bias) {
  const auto at_offset = [&](std::uint64_t address, std::span<std::uint8_t> out) {
    const auto probe = std::ranges::lower_bound(plan.probes, address, {}, &ProbeSpec::address);
    return probe != plan.probes.end() && probe->address == address &&
           ::pread(file, out.data(), out.size(), static_cast<off_t>(probe->file_offset)) ==
               static_cast<ssize_t>(out.size());
  };
  return verify_bytes(plan, MemoryReader(at_offset), memory, bias);
}

Result<TextNotes> verify_bytes(const Plan& plan, const MemoryReader& file, const MemoryReader& memory,
                               std::uint64_t bias) {
  TextNotes notes;
  TextAtProbes text(plan, memory, bias);
  TextAtProbes original(plan, file, 0);
  for (std::size_t i = 0; i < plan.probes.size(); ++i) {
    const ProbeSpec& probe = plan.probes[i];
    const std::span<const std::uint8_t> expected = probe.bytes.span();
    std::array<std::uint8_t, arch::kMaxInstruction> buffer;
    const std::span<std::uint8_t> found(buffer.data(), expected.size());
    if (expected.empty() || !original.read(i, found) || !std::ranges::equal(found, expected)) {
      return fail(ErrorKind::kGone,
                  fmt::format("the executable changed since it was read: {} at {:#x} is not {} any more",
                              probe.function, probe.address, hex(expected)),
                  "start mapwatch again");
    }
    if (!text.read(i, found)) {
      return fail(ErrorKind::kGone,
                  fmt::format("cannot read the process' text at {:#x} ({})", probe.address + bias, probe.function),
                  "it may have exited, or run another program");
    }
    const bool rest_same = std::equal(found.begin() + 1, found.end(), expected.begin() + 1);
    if (rest_same && found[0] == expected[0]) {
      continue;
    }
    if (!rest_same || found[0] != kBreakpoint) {
      return fail(ErrorKind::kGone,
                  fmt::format("the process' text is not its executable's: {} at {:#x} is {}, {} in the file",
                              probe.function, probe.address + bias, hex(found), hex(expected)),
                  "the file was written to, or the program patches itself; restart the process from a whole file");
    }
    notes.already_probed.push_back(i);
    notes.notes.push_back(
        fmt::format("{} at {:#x} has a breakpoint already: another tracer probes it", probe.function, probe.address));
  }
  return notes;
}

std::vector<std::size_t> silent_sites(const Plan& plan, const MemoryReader& memory, std::uint64_t bias) {
  std::vector<std::size_t> silent;
  TextAtProbes text(plan, memory, bias);
  for (std::size_t i = 0; i < plan.probes.size(); ++i) {
    std::array<std::uint8_t, 1> first = {};
    if (!text.read(i, first) || first[0] != kBreakpoint) {
      silent.push_back(i);
    }
  }
  return silent;
}

}  // namespace mapwatch::attach
