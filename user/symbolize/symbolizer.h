// pc -> source frames and type address -> name, lazily and off the event thread. The live one reads the target's
// binary; the recorded one serves `replay` from what --record wrote.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mapwatch::symbolize {

struct Frame {
  std::string func;  ///< full import path, as Go's tracebacks write it
  std::string file;
  int line = 0;
  std::uint64_t pc = 0;      ///< in the process (return address where it is one)
  std::uint64_t offset = 0;  ///< pc - function entry, Go's "+0x57"
  bool inlined = false;
  bool runtime = false;  ///< runtime, internal/runtime, reflect: kept, but not where the user's bug is
  bool user = false;     ///< the first frame that is neither runtime nor standard library
};

class Symbolizer {
 public:
  virtual ~Symbolizer() = default;
  /// Frames of a whole stack of process `tgid`: pcs[0] is an exact pc, the others return addresses. Inlined frames are
  /// expanded; a pc that no function covers gives one frame with func "?" and its pc.
  virtual std::vector<Frame> stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) = 0;
  /// The source position of one return address or go statement; empty when unknown.
  virtual std::vector<Frame> at(std::uint32_t tgid, std::uint64_t pc) = 0;
  /// Empty when `address` is no type descriptor.
  virtual std::string type_name(std::uint32_t tgid, std::uint64_t address) = 0;
};

}  // namespace mapwatch::symbolize
