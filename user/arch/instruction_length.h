// How long an amd64 instruction is, fast enough for the whole text of a large program.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace mapwatch::arch {

/// Bytes of the instruction at the start of `code`, as Zydis has it; 0 when the bytes are none or are cut off. The
/// encodings that compiled Go consists of (97 % of it) are told from the opcode maps (Intel SDM vol. 2, appendix A.3)
/// and ModRM (section 2.1); Zydis, which takes 140 ns for an instruction, is asked for the others.
unsigned instruction_length(Bytes code);

/// The same by the opcode maps alone: 0 when Zydis must be asked. For the test that compares both.
unsigned common_instruction_length(Bytes code);

}  // namespace mapwatch::arch
