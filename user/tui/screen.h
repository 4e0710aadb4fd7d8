// The terminal. The one file that knows ncurses; whatever happens, the terminal is left as it was found.
#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "tui/grid.h"
#include "tui/view.h"

namespace mapwatch::tui {

class Screen {
 public:
  /// kUsage where the terminal can do no more than print lines: TERM is dumb, unset or unknown.
  static Result<void> check_terminal();
  /// Takes the terminal of stdin and stdout. Errors: of check_terminal. One at a time in a process. Signals: its caller
  /// blocks SIGWINCH, SIGTSTP and SIGCONT and calls resize(), suspend() and resume().
  static Result<std::unique_ptr<Screen>> open(bool color);
  /// Restores the terminal; so does the death of the process by SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGQUIT.
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  Size size() const;
  void draw(const Grid& grid);
  /// What was typed; nullopt: nothing more for now.
  std::optional<Input> next_key();
  /// The terminal is gone: nothing can be read from it any more.
  bool closed() const;

  /// The window has another size.
  void resize();
  /// Gives the terminal back, stops the process as Ctrl-Z does, and takes the terminal again once it goes on.
  void suspend();
  /// The process went on after somebody stopped it: the terminal may be in any state.
  void resume();

 private:
  struct Impl;
  explicit Screen(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mapwatch::tui
