// What mapwatch does with a process that the kernel side has stopped at its crash: copies what is asked for, lets go.
// Owns the guardian, without which nothing is frozen.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach/kernel.h"
#include "attach/registers.h"
#include "attach/target.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/options.h"
#include "guardian/guardian.h"
#include "guardian/held_file.h"

namespace mapwatch::app {

/// A process that stands still, as the copy function sees it.
struct Frozen {
  const attach::Target& target;
  const attach::Kernel& kernel;  ///< for its tables: nothing of the process changes them now
  mw_fatal_event& event;         ///< whoever finds out more of it, adds that
  const attach::Registers& registers;
  const std::string& maps;        ///< /proc/PID/maps
  std::uint64_t deadline_ns = 0;  ///< CLOCK_MONOTONIC: copying that is not done by then is to be left
};
/// Runs while the process stands still: copy only, decode later.
using CopyFunction = std::function<void(Frozen&)>;

class Freezer {
 public:
  /// Starts the guardian; call before any BPF object is opened. Lets go of what a killed mapwatch left. A guardian that
  /// cannot be had is told, and nothing is frozen then.
  static std::unique_ptr<Freezer> create(const cli::Options& options, const Clock& clock);
  ~Freezer();

  /// The kernel side is loaded. `kernel` must outlive this.
  void connect(attach::Kernel& kernel);
  void on_frozen(CopyFunction copy) { copy_ = std::move(copy); }

  /// From now on `target` may be frozen, at the fatal probes of `plan`. Call when they stand.
  void add(const attach::Target& target, const attach::Plan& plan, std::uint64_t load_bias);
  /// It is gone, or its probes are, and its events are read.
  void drop(int pid);

  std::optional<int> guardian_pid() const {
    return guardian_ ? std::optional(static_cast<int>(guardian_->pid())) : std::nullopt;
  }
  /// Readable when turn() has something to do.
  int fd() const { return wake_.get(); }
  /// Replaces a guardian that died.
  void turn();

  struct Capture {
    mw_fatal_event event;                    ///< with the text, when only user space could read it
    std::optional<std::uint64_t> frozen_ns;  ///< from the event to the SIGCONT
  };
  /// nullopt: `record` is no event of a process that was frozen. Else the process runs again when this returns.
  /// `target`: null when it is not watched any more.
  std::optional<Capture> capture(Bytes record, const attach::Target* target);

 private:
  struct Held {
    int pidfd = -1;  ///< the target's own
    guardian::HeldRecord record;
    guardian::HeldFile file;
    bool let_go = false;  ///< it was frozen and runs again
  };

  Freezer(const cli::Options& options, const Clock& clock)
      : options_(options), clock_(clock), procfs_(options.procfs) {}
  bool start_guardian();
  /// Tells the guardian of a process and then allows the kernel side to freeze it.
  Result<void> allow(std::uint32_t tgid, Held& held);
  void give_up(const std::string& why);
  void copy(const attach::Target& target, Capture& capture);
  bool wanted(const attach::Target& target, mw_fatal_event& event) const;
  std::uint64_t let_go(std::uint32_t tgid, const Held& held);

  const cli::Options options_;
  const Clock& clock_;
  proc::ProcFs procfs_;
  attach::Kernel* kernel_ = nullptr;
  std::optional<guardian::Guardian> guardian_;
  UniqueFd wake_;
  std::map<std::uint32_t, Held> held_;
  std::deque<std::uint64_t> restarts_ns_;
  CopyFunction copy_;
};

}  // namespace mapwatch::app
