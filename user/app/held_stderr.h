// While a screen stands, lines on stderr would go across it: they wait here.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::app {

class HeldStderr {
 public:
  /// From now on what anybody in this process writes to stderr is kept, if that is a terminal.
  static Result<HeldStderr> hold();
  /// stderr is as it was, and what was kept is written to it (the last 64 KiB of it).
  ~HeldStderr();
  HeldStderr(HeldStderr&&) noexcept = default;
  HeldStderr& operator=(HeldStderr&&) = delete;

  /// The last whole line since the last call, without "mapwatch: "; empty when there was none.
  std::string last_line();

 private:
  HeldStderr(UniqueFd kept, UniqueFd terminal) : kept_(std::move(kept)), terminal_(std::move(terminal)) {}
  std::string text(std::size_t from) const;
  std::size_t size() const;

  UniqueFd kept_;
  UniqueFd terminal_;  ///< invalid: stderr is no terminal, nothing is held
  std::size_t told_ = 0;
};

}  // namespace mapwatch::app
