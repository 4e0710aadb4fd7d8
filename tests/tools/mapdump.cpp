// Reads maps of a live process or a core and prints each as JSON, to compare with what the process says of them:
//   mapdump [--entries N] [--redact] [--time] [--text|--svg] PID TYPE_ADDRESS MAP_ADDRESS [TYPE_ADDRESS MAP_ADDRESS...]
//   mapdump --core FILE [...] BINARY TYPE_ADDRESS MAP_ADDRESS...
#include <sys/uio.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dossier/map_json.h"
#include "dossier/map_svg.h"
#include "dossier/map_text.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"
#include "forensics/core_memory.h"
#include "forensics/map_reader.h"

using namespace mapwatch;

namespace {

class ProcessMemory final : public forensics::Memory {
 public:
  explicit ProcessMemory(pid_t pid) : pid_(pid) {}
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    iovec local{out.data(), out.size()};
    iovec remote{reinterpret_cast<void*>(address), out.size()};
    return out.empty() || process_vm_readv(pid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(out.size());
  }
  void read_many(std::span<forensics::ReadRequest> requests) const override {
    constexpr std::size_t kMost = 1024;  // IOV_MAX
    while (!requests.empty()) {
      const auto now = requests.first(std::min(kMost, requests.size()));
      std::vector<iovec> local, remote;
      for (const auto& request : now) {
        local.push_back({request.out.data(), request.out.size()});
        remote.push_back({reinterpret_cast<void*>(request.address), request.out.size()});
      }
      // The call stops at the first place that cannot be read.
      ssize_t left = process_vm_readv(pid_, local.data(), local.size(), remote.data(), remote.size(), 0);
      std::size_t done = 0;
      for (; done < now.size() && left >= static_cast<ssize_t>(now[done].out.size()); ++done) {
        left -= static_cast<ssize_t>(now[done].out.size());
        now[done].ok = true;
      }
      requests = requests.subspan(done < now.size() ? done + 1 : done);
    }
  }
  std::span<const forensics::Mapping> mappings() const override { return {}; }

 private:
  pid_t pid_;
};

/// Where the kernel mapped the first page of the executable, less where the file wants it. Go 1.26+ puts its heap at
/// random places, also below the executable.
std::uint64_t load_bias(const std::string& pid, const elf::GoBinary& binary) {
  const std::string exe = std::filesystem::read_symlink("/proc/" + pid + "/exe");
  std::ifstream maps("/proc/" + pid + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(exe)) {
      return std::strtoull(line.c_str(), nullptr, 16) - binary.first_load_address();
    }
  }
  std::cerr << "mapdump: " << exe << " is not mapped in " << pid << "\n";
  std::exit(1);
}

int fail_with(const Error& error) {
  std::cerr << "mapdump: " << error.message << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  forensics::MapRequest request;
  request.style.string_bytes = 1024;
  request.style.text = 4096;
  bool time = false;
  std::string form, core;
  while (!words.empty() && words[0].starts_with("--")) {
    if (words[0] == "--entries" && words.size() > 1) {
      request.limits.entries = std::strtoull(words[1].c_str(), nullptr, 10);
      words.erase(words.begin());
    } else if (words[0] == "--core" && words.size() > 1) {
      core = words[1];
      words.erase(words.begin());
    } else if (words[0] == "--redact") {
      request.style.redact = true;
    } else if (words[0] == "--time") {
      time = true;
    } else if (words[0] == "--text" || words[0] == "--svg") {
      form = words[0];
    } else {
      words.clear();
      break;
    }
    words.erase(words.begin());
  }
  if (words.size() < 3 || words.size() % 2 == 0) {
    std::cerr << "usage: mapdump [--entries N] [--redact] [--time] [--text|--svg] PID|--core FILE BINARY TYPE MAP...\n";
    return 2;
  }
  const auto file = elf::MappedFile::open(core.empty() ? "/proc/" + words[0] + "/exe" : words[0]);
  if (!file) {
    return fail_with(file.error());
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    return fail_with(binary.error());
  }
  const ProcessMemory process(std::atoi(words[0].c_str()));
  std::optional<elf::MappedFile> core_file;
  std::optional<forensics::CoreMemory> dumped;
  std::uint64_t bias = 0;
  if (core.empty()) {
    bias = load_bias(words[0], *binary);
  } else {
    auto opened = elf::MappedFile::open(core);
    if (!opened) {
      return fail_with(opened.error());
    }
    core_file.emplace(std::move(*opened));
    auto parsed = forensics::CoreMemory::parse(core_file->bytes(), file->bytes());
    const auto place = parsed ? parsed->load_bias() : tl::unexpected(parsed.error());
    if (!place) {
      return fail_with(place.error());
    }
    bias = *place;
    dumped.emplace(std::move(*parsed));
  }
  const forensics::Memory& memory = dumped ? static_cast<const forensics::Memory&>(*dumped) : process;
  const SystemClock clock;
  const auto hashes = forensics::read_hash_source(*binary, bias, memory);
  forensics::TypeReader types(memory, forensics::type_space(*binary, bias));
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    request.type = std::strtoull(words[i].c_str(), nullptr, 0);
    request.map = std::strtoull(words[i + 1].c_str(), nullptr, 0);
    const std::uint64_t begin = clock.monotonic_ns();
    const auto picture = forensics::read_map(types, hashes, request, clock);
    if (!picture) {
      return fail_with(picture.error());
    }
    if (time) {
      std::cerr << (clock.monotonic_ns() - begin) / 1'000'000 << " ms\n";
    }
    std::cout << (form == "--text"  ? dossier::map_text(*picture)
                  : form == "--svg" ? dossier::map_svg(*picture)
                                    : dossier::map_json(*picture) + "\n");
  }
  return 0;
}
