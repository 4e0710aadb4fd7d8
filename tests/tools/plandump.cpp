// Prints the probes that attach::plan_probes plans for a file, one a line, to compare with other readers:
//   probe OP CLASS ARG FUNCTION +OFFSET FILE_OFFSET INSTRUCTION BYTES emulated|stepped
//   omit FUNCTION: REASON
#include <cstdio>
#include <iostream>

#include "attach/plan.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"

using namespace mapwatch;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: plandump FILE\n";
    return 2;
  }
  const auto file = elf::MappedFile::open(argv[1]);
  if (!file) {
    std::cerr << file.error().message << "\n";
    return 1;
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    std::cerr << binary.error().message << "\n";
    return 1;
  }
  const auto plan = attach::plan_probes(*binary);
  if (!plan) {
    std::cerr << plan.error().message << "\n";
    return 1;
  }
  for (const attach::ProbeSpec& probe : plan->probes) {
    std::printf("probe %d %d %d %s +%#lx %#lx %s ", probe.op, probe.site_class, probe.arg, probe.function.c_str(),
                probe.address - probe.entry, probe.file_offset, probe.instruction.c_str());
    for (const std::uint8_t byte : probe.bytes) {
      std::printf("%02x", byte);
    }
    std::printf(" %s\n", probe.emulated ? "emulated" : "stepped");
  }
  for (const attach::Omission& omission : plan->omissions) {
    std::printf("omit %s: %s\n", omission.function.c_str(), omission.reason.c_str());
  }
  return 0;
}
