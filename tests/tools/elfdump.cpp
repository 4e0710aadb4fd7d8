// Prints what elf::GoBinary reads from a file, as lines for tests/unit/elf/oracle.py to compare.
//   elfdump info FILE | funcs FILE | frames FILE [ADDR...] (addresses from stdin without ADDR) | types FILE ADDR...
//   elfdump time FILE: how long parse takes
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "elf/go_binary.h"
#include "elf/mapped_file.h"

using namespace mapwatch;
using namespace mapwatch::elf;

namespace {

void print_info(const GoBinary& binary) {
  const BuildTraits& traits = binary.traits();
  const Offsets& o = binary.offsets();
  const char* source = o.source == OffsetSource::kDwarf   ? "dwarf"
                       : o.source == OffsetSource::kTable ? "table"
                                                          : "unverified";
  std::printf("version %s\nminor %d\npatch %d\nmaps %s\npath %s\nbuild_id %s\nfunctions %zu\nload %#lx\n",
              binary.version().text.c_str(), binary.version().minor, binary.version().patch,
              binary.map_kind() == MapKind::kSwiss ? "swiss" : "buckets", binary.main_path().c_str(),
              binary.build_id().c_str(), binary.functions().size(), binary.first_load_address());
  std::printf("stripped %d\npie %d\ncgo %d\ndwarf %d\nrace %d\nunverified %d\n", traits.stripped, traits.pie,
              traits.cgo, traits.dwarf, traits.race, binary.unverified());
  std::printf("offsets %s goid=%u gopc=%u m=%u lo=%u hi=%u curg=%u mark=%u mask=%u len=%u iter_map=%u iter_type=%u\n",
              source, o.g_goid, o.g_gopc, o.g_m, o.g_stack_lo, o.g_stack_hi, o.m_curg, o.map_mark, o.map_mark_mask,
              o.map_len, o.iter_map, o.iter_type);
}

void print_frames(const GoBinary& binary, std::uint64_t address) {
  std::printf("%lx", address);
  for (const SourceFrame& frame : binary.frames(address)) {
    std::printf("\t%s|%s|%d|%d", frame.func.c_str(), frame.file.c_str(), frame.line, frame.inlined ? 1 : 0);
  }
  std::printf("\n");
}

void print_type(const GoBinary& binary, std::uint64_t address) {
  const auto name = binary.type_name(address);
  std::printf("%lx\t%s\n", address, name ? name->c_str() : ("error: " + name.error().message).c_str());
}

int print_time(Bytes file) {
  const auto begin = std::chrono::steady_clock::now();
  const auto binary = GoBinary::parse(file);
  const auto end = std::chrono::steady_clock::now();
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("parse %.1f ms, %zu functions, rss %ld kB\n",
              std::chrono::duration<double, std::milli>(end - begin).count(), binary ? binary->functions().size() : 0,
              usage.ru_maxrss);
  return binary ? 0 : 1;
}

int dump(const std::string& command, Bytes file, const std::vector<std::uint64_t>& addresses) {
  if (command == "time") {
    return print_time(file);
  }
  const auto binary = GoBinary::parse(file);
  if (!binary) {
    std::printf("error %d: %s (%s)\n", static_cast<int>(binary.error().kind), binary.error().message.c_str(),
                binary.error().hint.c_str());
    return 1;
  }
  if (command == "info") {
    print_info(*binary);
  } else if (command == "funcs") {
    for (const Function& function : binary->functions()) {
      std::printf("%lx %lx %.*s\n", function.entry, function.end, static_cast<int>(function.name.size()),
                  function.name.data());
    }
  } else {
    for (const std::uint64_t address : addresses) {
      command == "types" ? print_type(*binary, address) : print_frames(*binary, address);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: elfdump info|funcs|frames|types|time FILE [ADDR...]\n");
    return 2;
  }
  const auto file = MappedFile::open(argv[2]);
  if (!file) {
    std::fprintf(stderr, "%s\n", file.error().message.c_str());
    return 1;
  }
  std::vector<std::uint64_t> addresses;
  for (int i = 3; i < argc; ++i) {
    addresses.push_back(std::stoull(argv[i], nullptr, 16));
  }
  std::string line;
  const std::string command = argv[1];
  while (argc == 3 && (command == "frames" || command == "types") && std::getline(std::cin, line)) {
    addresses.push_back(std::stoull(line, nullptr, 16));
  }
  return dump(command, file->bytes(), addresses);
}
