// Processes for tests to look at: each is killed and waited for at scope end.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace mapwatch::test {

/// A child that runs `program` (exec) and has done so by the time the constructor returns.
class Child {
 public:
  Child(const std::string& program, std::vector<std::string> args) {
    int exec_done[2];
    if (::pipe2(exec_done, O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe failed");
    }
    args.insert(args.begin(), program);
    std::vector<char*> argv;
    for (std::string& arg : args) {
      argv.push_back(arg.data());
    }
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execv(program.c_str(), argv.data());
      ::_exit(127);
    }
    ::close(exec_done[1]);
    const UniqueFd wait(exec_done[0]);
    char byte = 0;
    (void)!::read(wait.get(), &byte, 1);  // ends when exec closes the other side
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child(const Child&) = delete;
  ~Child() { kill_and_wait(); }

  int pid() const { return pid_; }
  /// Dead and a zombie until kill_and_wait.
  void kill_only() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info = {};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void kill_and_wait() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = -1;
    }
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace mapwatch::test
