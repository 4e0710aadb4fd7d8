// Prints the probes that attach::plan_probes plans for a file, or with --sites those of attach::plan_call_sites, one a
// line, to compare with other readers:
//   probe OP CLASS ARG FUNCTION +OFFSET ADDRESS FILE_OFFSET INSTRUCTION BYTES emulated|stepped [CALLER] [initialiser]
//   omit FUNCTION: REASON
#include <cstdio>
#include <cstring>
#include <iostream>

#include "attach/site_plan.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"

using namespace mapwatch;

int main(int argc, char** argv) {
  const bool sites = argc == 3 && std::strcmp(argv[1], "--sites") == 0;
  if (argc != 2 && !sites) {
    std::cerr << "usage: plandump [--sites] FILE\n";
    return 2;
  }
  const auto file = elf::MappedFile::open(argv[argc - 1]);
  if (!file) {
    std::cerr << file.error().message << "\n";
    return 1;
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    std::cerr << binary.error().message << "\n";
    return 1;
  }
  auto plan = attach::plan_probes(*binary);
  if (plan && sites) {
    plan = attach::plan_call_sites(*binary, *plan);
  }
  if (!plan) {
    std::cerr << plan.error().message << "\n";
    return 1;
  }
  for (const attach::ProbeSpec& probe : plan->probes) {
    std::printf("probe %d %d %d %s +%#lx %#lx %#lx %s ", probe.op, probe.site_class, probe.arg,
                std::string(probe.function).c_str(), probe.address - probe.entry, probe.address, probe.file_offset,
                std::string(probe.instruction).c_str());
    for (const std::uint8_t byte : probe.bytes.span()) {
      std::printf("%02x", byte);
    }
    std::printf(" %s%s%s%s\n", probe.emulated ? "emulated" : "stepped", probe.caller.empty() ? "" : " ",
                std::string(probe.caller).c_str(), probe.initialiser ? " initialiser" : "");
  }
  for (const attach::Omission& omission : plan->omissions) {
    std::printf("omit %s: %s\n", omission.function.c_str(), omission.reason.c_str());
  }
  return 0;
}
