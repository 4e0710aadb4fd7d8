// Which instructions of a binary to probe, and why the others not: a pure function of the binary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/instruction.h"
#include "elf/go_binary.h"
#include "mapwatch/abi.h"

namespace mapwatch::attach {

/// One probe: data, printable, attachable.
struct ProbeSpec {
  mw_op op = MW_OP_NONE;
  mw_site_class site_class = MW_SITE_NONE;
  mw_arg arg = MW_ARG_NONE;
  std::string_view function;      ///< pclntab name of what is operated with; static storage
  std::string_view caller;        ///< MW_SITE_CALL: of the function that calls it; lives as long as the binary
  std::uint64_t entry = 0;        ///< virtual address of the function that holds the instruction
  std::uint64_t address = 0;      ///< virtual address of the probed instruction
  std::uint64_t file_offset = 0;  ///< what the kernel attaches by
  std::string_view instruction;   ///< "push", "jbe", "call", ... as decoded; static storage
  arch::InstructionBytes bytes;   ///< as in the file, compared with the mapped text before attach
  bool emulated = false;          ///< the kernel emulates it (no single step)
  bool initialiser = false;       ///< MW_SITE_CALL: in a package's initialiser, which does not run once main does
};

/// It sits on the way to Go's fatal error: hit once in the life of a process, and always armed.
inline bool is_fatal(const ProbeSpec& probe) { return probe.op == MW_OP_FATAL || probe.op == MW_OP_THROW; }

/// A map or fatal function that is in the binary and gets no probe of its own.
struct Omission {
  std::string function;
  std::string reason;  ///< "calls runtime.mapassign_faststr, which is probed", "instruction cmp is not emulated", ...
};

struct Plan {
  std::vector<ProbeSpec> probes;  ///< by address
  std::vector<Omission> omissions;
};

/// One function as the planner sees it: the bytes of all of it.
struct FunctionCode {
  std::string name;               ///< pclntab name
  std::uint64_t entry = 0;        ///< virtual address
  std::uint64_t file_offset = 0;  ///< of entry
  Bytes code;
};

/// The planner's core. Functions that are no operation on a map and no end of the process are passed over. An operation
/// is counted once: a function that calls another one of the same kind, by decoding, is omitted where that one is
/// probed.
Plan plan_functions(const std::vector<FunctionCode>& functions);

/// Plans the function probes of `binary`. Fails (kUnsupported) when no map function can be probed, with the reasons.
Result<Plan> plan_probes(const elf::GoBinary& binary);

}  // namespace mapwatch::attach
