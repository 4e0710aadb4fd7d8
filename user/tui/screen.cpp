#include "tui/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string>

#define NCURSES_NOMACROS  // its names are everybody's
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <fmt/format.h>

#include "base/escape.h"

// Of term.h, whose macros take names like `columns` from everybody.
extern "C" int setupterm(const char* term, int fd, int* error);

namespace mapwatch::tui {

namespace {

constexpr int kFatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT};
constexpr std::string_view kInstead =
    "mapwatch top --once prints one table, --no-clear one after the other, on any terminal";
constexpr int kEscapeMs = 25;  ///< between ESC and the rest of a key's sequence

/// What a handler of a fatal signal needs, prepared beforehand: nothing in it allocates or locks.
struct Emergency {
  volatile std::sig_atomic_t armed = 0;
  termios saved = {};
  char text[256] = {};  ///< shows the cursor, leaves the alternate screen, plain letters
  std::size_t length = 0;
  struct sigaction before[std::size(kFatal)] = {};
};
Emergency emergency;

void restore_at_once() {
  if (emergency.armed != 0) {
    emergency.armed = 0;
    [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, emergency.text, emergency.length);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &emergency.saved);
  }
}

extern "C" void restore_and_die(int signal, siginfo_t* info, void* context) {
  const auto place = std::find(std::begin(kFatal), std::end(kFatal), signal) - std::begin(kFatal);
  const struct sigaction& before = emergency.before[place];
  if (signal == SIGBUS && (before.sa_flags & SA_SIGINFO) != 0) {
    // Of a file that was cut (elf/sigbus_guard.h): it mends what is its own, else it takes its hands off the signal.
    before.sa_sigaction(signal, info, context);
    struct sigaction now = {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_sigaction == restore_and_die) {
      return;
    }
    restore_at_once();
    return;
  }
  restore_at_once();
  ::sigaction(signal, &before, nullptr);
  ::raise(signal);
}

void add_capability(const char* name) {
  const char* text = ::tigetstr(name);
  if (text == nullptr || text == reinterpret_cast<const char*>(-1)) {
    return;
  }
  const std::size_t size = std::strlen(text);
  if (emergency.length + size < sizeof(emergency.text)) {
    std::memcpy(emergency.text + emergency.length, text, size);
    emergency.length += size;
  }
}

void arm_emergency() {
  emergency.length = 0;
  for (const char* name : {"sgr0", "cnorm", "rmkx", "rmcup"}) {
    add_capability(name);
  }
  struct sigaction action = {};
  action.sa_sigaction = restore_and_die;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < std::size(kFatal); ++i) {
    ::sigaction(kFatal[i], &action, &emergency.before[i]);
  }
  emergency.armed = 1;
}

void disarm_emergency() {
  emergency.armed = 0;
  for (std::size_t i = 0; i < std::size(kFatal); ++i) {
    ::sigaction(kFatal[i], &emergency.before[i], nullptr);
  }
}

/// Writes to the terminal of a process that is not in its foreground would stop it (SIGTTOU), half restored.
class FromBackground {
 public:
  FromBackground() : before_(::signal(SIGTTOU, SIG_IGN)) {}
  ~FromBackground() { ::signal(SIGTTOU, before_); }
  FromBackground(const FromBackground&) = delete;
  FromBackground& operator=(const FromBackground&) = delete;

 private:
  void (*before_)(int);
};

std::optional<Key> key_of(wint_t code) {
  switch (code) {
    case KEY_UP:
      return Key::kUp;
    case KEY_DOWN:
      return Key::kDown;
    case KEY_LEFT:
      return Key::kLeft;
    case KEY_RIGHT:
      return Key::kRight;
    case KEY_PPAGE:
      return Key::kPageUp;
    case KEY_NPAGE:
      return Key::kPageDown;
    case KEY_HOME:
      return Key::kHome;
    case KEY_END:
      return Key::kEnd;
    case KEY_ENTER:
      return Key::kEnter;
    case KEY_BACKSPACE:
      return Key::kBackspace;
    default:
      return std::nullopt;
  }
}

}  // namespace

struct Screen::Impl {
  SCREEN* screen = nullptr;
  bool color = false;
  bool closed = false;

  attr_t attributes(Ink ink) const {
    const auto in_color = [this](int pair, attr_t without) {
      return color ? static_cast<attr_t>(COLOR_PAIR(pair)) : without;
    };
    switch (ink) {
      case Ink::kPlain:
        return A_NORMAL;
      case Ink::kStrong:
        return A_BOLD;
      case Ink::kFaint:
        return A_DIM;
      case Ink::kHeading:
        return A_UNDERLINE;
      case Ink::kSelected:
        return A_REVERSE;
      case Ink::kWarning:
        return in_color(1, A_BOLD);
      case Ink::kAlarm:
        return in_color(2, A_BOLD) | A_BOLD;
    }
    return A_NORMAL;
  }

  void set_up() const {
    ::cbreak();  // Ctrl-C and Ctrl-Z stay signals
    ::noecho();
    ::nonl();
    ::intrflush(stdscr, FALSE);
    ::keypad(stdscr, TRUE);
    ::nodelay(stdscr, TRUE);
    ::curs_set(0);
  }
};

Screen::Screen(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<void> Screen::check_terminal() {
  const char* term = std::getenv("TERM");
  const std::string name = term == nullptr ? "" : term;
  const auto refuse = [](std::string what) { return fail(ErrorKind::kUsage, std::move(what), std::string(kInstead)); };
  if (name.empty()) {
    return refuse("top needs a terminal, and TERM is not set");
  }
  int error = 0;
  if (name == "dumb" || ::setupterm(nullptr, STDOUT_FILENO, &error) != OK) {
    return refuse(name == "dumb" ? "top needs a terminal that can move its cursor; TERM=dumb cannot"
                                 : fmt::format("this system knows no terminal \"{}\" (TERM)", escape(name)));
  }
  return {};
}

Result<std::unique_ptr<Screen>> Screen::open(bool color) {
  TRY(check_terminal());
  std::setlocale(LC_CTYPE, "");
  if (::tcgetattr(STDIN_FILENO, &emergency.saved) != 0) {
    return fail_errno("cannot read the terminal's settings");
  }
  auto impl = std::make_unique<Impl>();
  // Handlers that newterm sets up are for programs that do not block these signals; those of others are kept.
  impl->screen = ::newterm(nullptr, stdout, stdin);
  if (impl->screen == nullptr) {
    return fail(ErrorKind::kFailed, "the terminal cannot be set up", std::string(kInstead));
  }
  arm_emergency();
  ::set_escdelay(kEscapeMs);
  impl->set_up();
  if (color && ::has_colors() && ::start_color() == OK) {
    ::use_default_colors();
    ::init_pair(1, COLOR_YELLOW, -1);
    ::init_pair(2, COLOR_RED, -1);
    impl->color = true;
  }
  return std::unique_ptr<Screen>(new Screen(std::move(impl)));
}

Screen::~Screen() {
  const FromBackground from_background;
  ::endwin();
  ::delscreen(impl_->screen);
  disarm_emergency();
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &emergency.saved);
}

Size Screen::size() const { return {getmaxy(stdscr), getmaxx(stdscr)}; }

bool Screen::closed() const { return impl_->closed; }

void Screen::draw(const Grid& grid) {
  ::erase();
  const Size have = size();
  for (int row = 0; row < std::min(grid.size().rows, have.rows); ++row) {
    for (int column = 0; column < std::min(grid.size().columns, have.columns); ++column) {
      const Cell& cell = grid.at(row, column);
      if (cell.glyph == 0 || (cell.glyph == U' ' && cell.ink != Ink::kSelected && cell.ink != Ink::kHeading)) {
        continue;
      }
      // The C library may think otherwise of a glyph's width, or have no such letter: rows must not shift for it.
      const bool same = ::wcwidth(static_cast<wchar_t>(cell.glyph)) == cell_width(cell.glyph);
      const std::array<wchar_t, 2> text = {same ? static_cast<wchar_t>(cell.glyph) : L'?', L'\0'};
      cchar_t out;
      const attr_t attributes = impl_->attributes(cell.ink);
      ::setcchar(&out, text.data(), attributes & ~A_COLOR, PAIR_NUMBER(attributes), nullptr);
      ::mvadd_wch(row, column, &out);
    }
  }
  ::refresh();
}

std::optional<Input> Screen::next_key() {
  for (;;) {
    wint_t code = 0;
    const int kind = ::get_wch(&code);
    if (kind == ERR) {
      pollfd terminal = {STDIN_FILENO, POLLIN, 0};
      impl_->closed = impl_->closed || (::poll(&terminal, 1, 0) > 0 && (terminal.revents & (POLLHUP | POLLERR)) != 0);
      return std::nullopt;
    }
    if (kind == KEY_CODE_YES) {
      if (const auto key = key_of(code)) {
        return Input{*key, 0};
      }
      continue;
    }
    switch (code) {
      case L'\r':
      case L'\n':
        return Input{Key::kEnter, 0};
      case 0x1b:
        return Input{Key::kEscape, 0};
      case 0x7f:
      case 0x08:
        return Input{Key::kBackspace, 0};
      default:
        return Input{Key::kText, static_cast<char32_t>(code)};
    }
  }
}

void Screen::resize() {
  winsize window = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0) {
    ::resizeterm(window.ws_row, window.ws_col);
  }
}

void Screen::suspend() {
  ::endwin();
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &emergency.saved);
  emergency.armed = 0;
  struct sigaction stop = {};
  struct sigaction before = {};
  stop.sa_handler = SIG_DFL;
  ::sigaction(SIGTSTP, &stop, &before);
  sigset_t set;
  sigset_t blocked;
  sigemptyset(&set);
  sigaddset(&set, SIGTSTP);
  ::raise(SIGTSTP);
  ::pthread_sigmask(SIG_UNBLOCK, &set, &blocked);  // here it stands still
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  ::sigaction(SIGTSTP, &before, nullptr);
  ::tcgetattr(STDIN_FILENO, &emergency.saved);  // the shell's, as it is now
  emergency.armed = 1;
  resume();
}

void Screen::resume() {
  ::reset_prog_mode();
  resize();
  ::clearok(stdscr, TRUE);
  ::refresh();
}

}  // namespace mapwatch::tui
