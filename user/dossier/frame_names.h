// Frames of a goroutine with their names, and which of them Go's own tracebacks show. Sources: runtime/traceback.go
// (showframe, isSystemGoroutine, printcreatedby).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "elf/go_binary.h"
#include "forensics/goroutines.h"

namespace mapwatch::dossier {

/// One line pair of a traceback: a logical frame.
struct NamedFrame {
  std::string func;  ///< fit for a terminal
  std::string file;  ///< likewise
  int line = 0;
  std::uint64_t offset = 0;  ///< from the function's entry; 0 for an inlined call
  bool inlined = false;
  bool wrapper = false;
  bool runtime = false;  ///< left out unless all frames are wanted
};

class FrameNames {
 public:
  /// `binary` must outlive the value.
  FrameNames(const elf::GoBinary& binary, std::uint64_t bias) : binary_(binary), bias_(bias) {}

  /// The logical frames of one physical frame, innermost first. Valid until the next call.
  const std::vector<NamedFrame>& of(const forensics::Frame& frame);
  /// Where the go statement at `go_pc` stands; empty func when no code is there.
  NamedFrame creator(std::uint64_t go_pc) const;
  /// Goroutines of the runtime itself, which Go's tracebacks leave out by default.
  bool system_goroutine(const forensics::Goroutine& goroutine);

  int go_minor() const { return binary_.version().minor; }

 private:
  const elf::GoBinary& binary_;
  std::uint64_t bias_;
  std::unordered_map<std::uint64_t, std::vector<NamedFrame>> known_;  ///< by lookup address * 2 + exact
};

/// True when a traceback without the runtime's frames shows this one, which was called by `caller_of`'s callee.
/// `callee`: function of the frame printed or left out just before; `first`: nothing was printed yet.
bool shown(const NamedFrame& frame, std::string_view callee, bool first);

}  // namespace mapwatch::dossier
