// Which of the processes that are there, or have just run exec, are Go programs that the user chose.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "app/exe_kinds.h"
#include "app/selector.h"
#include "base/file_key.h"
#include "base/proc.h"

namespace mapwatch::app {

class Discovery {
 public:
  Discovery(const cli::Options& options, proc::ProcFs procfs);

  /// mapwatch's own processes, which are never looked at. Its own executable is not either, whoever runs it.
  void leave_out(const std::vector<int>& pids);

  enum class Verdict {
    kGone,     ///< it ended, or is a kernel thread
    kNotGo,    ///< or cannot be read; or mapwatch itself
    kNotMine,  ///< a Go program that was not chosen
    kWanted,
  };
  struct Look {
    Verdict verdict = Verdict::kGone;
    FileKey file;  ///< of its executable; not of kGone
    Match match = Match::kNo;
  };
  /// A program that is known costs one stat(2), and what the selectors have to read.
  Look look(int pid);

  /// Processes that could not be read for lack of rights, so far.
  std::size_t unreadable() const { return unreadable_; }

 private:
  const proc::ProcFs procfs_;
  const Selector selector_;
  std::optional<FileKey> own_exe_;
  std::set<int> own_pids_;
  ExeKinds kinds_;
  std::size_t unreadable_ = 0;
};

}  // namespace mapwatch::app
