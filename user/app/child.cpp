#include "app/child.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "base/spawn.h"
#include "base/unique_fd.h"

namespace mapwatch::app {

namespace {

/// Where execvp(3) would find `name`. Not execvp itself: it hands a file that is no program to /bin/sh (ENOEXEC), which
/// then fails in its own words.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const char* variable = ::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/bin:/bin";
  std::string found;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string directory = end > begin ? path.substr(begin, end - begin) : ".";
    const std::string candidate = directory + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    if (found.empty() && ::access(candidate.c_str(), F_OK) == 0) {
      found = candidate;  // there, but not executable: 126 rather than 127, unless a later one is
    }
    begin = end + 1;
  }
  return found.empty() ? name : found;
}

[[noreturn]] void become(const std::string& program, const std::vector<std::string>& command, int go, int tell) {
  char byte = 0;
  while (::read(go, &byte, 1) < 0 && errno == EINTR) {
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  std::vector<char*> argv;
  for (const std::string& word : command) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  const int error = errno;
  // When the pipe fails too the parent sees it close without an exec: the same outcome, with less to say.
  [[maybe_unused]] const ssize_t written = ::write(tell, &error, sizeof(error));
  ::_exit(error == ENOENT ? 127 : 126);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command, bool follow, int& status) {
  status = 125;
  Pipe go = TRY(Pipe::create());
  Pipe tell = TRY(Pipe::create());
  const std::string program = find_program(command[0]);
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno("fork");
  }
  if (pid == 0) {
    // Without its own end the child sees the pipe close when mapwatch dies, and goes on unwatched.
    go.writer.reset();
    become(program, command, go.reader.get(), tell.writer.get());
  }
  tell.writer.reset();
  long options = PTRACE_O_TRACEEXEC;
  if (follow) {
    options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
  }
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, options) != 0) {
    auto error = fail_errno("cannot hold " + command[0] + " at its start (ptrace)");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  go.writer.reset();
  // The exec stop keeps the child's end of this pipe open until it is resumed: read only what a failed exec left.
  int stop = 0;
  for (;;) {
    if (::waitpid(pid, &stop, __WALL) != pid) {
      return fail_errno("waitpid");
    }
    if (!WIFSTOPPED(stop) || stop >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) {
      break;
    }
    // A signal before the exec, or the one that ends a program whose file is damaged beyond its first page.
    const std::intptr_t deliver = stop >> 16 == 0 ? WSTOPSIG(stop) : 0;
    ::ptrace(PTRACE_CONT, pid, nullptr, deliver);
  }
  if (WIFEXITED(stop)) {
    int error = 0;
    if (::read(tell.reader.get(), &error, sizeof(error)) != static_cast<ssize_t>(sizeof(error))) {
      error = ECHILD;
    }
    status = WEXITSTATUS(stop);
    return fail_errno(command[0], error, status == 127 ? "is it on PATH?" : "is it an executable file?");
  }
  Child child(pid, follow);
  child.ended_ = WIFSIGNALED(stop);
  child.wait_status_ = stop;
  return child;
}

void Child::release(pid_t pid, bool last) {
  // ESRCH: it was killed meanwhile; waitpid will say so.
  ::ptrace(last && !follow_ ? PTRACE_DETACH : PTRACE_CONT, pid, nullptr, nullptr);
}

void Child::on_stop(pid_t pid, int status, Turn& turn) {
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == PTRACE_EVENT_EXEC) {
    turn.held.push_back(pid);
  } else if (event == PTRACE_EVENT_STOP &&
             (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)) {
    ::ptrace(PTRACE_LISTEN, pid, nullptr, nullptr);  // a group stop stays one
  } else {
    const std::intptr_t deliver = event == 0 ? signal : 0;
    ::ptrace(PTRACE_CONT, pid, nullptr, deliver);
  }
}

Result<Child::Turn> Child::reap() {
  Turn turn;
  for (;;) {
    int status = 0;
    // Children of other threads are theirs to wait for (base/spawn.h).
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL | __WNOTHREAD);
    if (pid == 0 || (pid < 0 && errno == ECHILD)) {
      return turn;
    }
    if (pid < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno("waitpid");
    }
    if (WIFSTOPPED(status)) {
      on_stop(pid, status, turn);
    } else if (pid == pid_) {
      ended_ = true;
      wait_status_ = status;
    }
  }
}

}  // namespace mapwatch::app
