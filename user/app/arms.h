// What mapwatch has armed: for each file its program, its numbers in the kernel side, and its links. Links are of one
// process, or of the file: one pair then serves all processes that run it, now and later (docs/whole-host.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/governor.h"
#include "app/program.h"
#include "app/selector.h"
#include "attach/kernel.h"
#include "attach/ranges.h"
#include "attach/slots.h"
#include "attach/target.h"
#include "base/clock.h"
#include "base/file_lease.h"

namespace mapwatch::app {

class Arms;

/// One file. Its numbers are given back when the last owner lets go.
class Arm {
 public:
  Arm(Arms& arms, const attach::Target& target, std::shared_ptr<const Program> program, std::uint32_t layout,
      std::uint32_t first_site, std::vector<mw_site_counts> before);
  ~Arm();
  Arm(const Arm&) = delete;
  Arm& operator=(const Arm&) = delete;

  /// As the first process that was looked at named it.
  const std::string& path() const { return path_; }
  const std::shared_ptr<const Program>& program() const { return program_; }
  const attach::Plan& plan() const { return program_->plan(); }
  std::uint32_t layout() const { return layout_; }
  std::uint32_t first_site() const { return first_site_; }
  /// Its links serve every process of the file.
  bool wide() const { return wide_ != nullptr; }

 private:
  friend class Arms;
  Arms& arms_;
  const FileKey key_;
  const std::string path_;
  const std::shared_ptr<const Program> program_;
  const std::uint32_t layout_;
  const std::uint32_t first_site_;
  const std::vector<mw_site_counts> before_;  ///< of its sites, by their last owner
  std::shared_ptr<Armed> wide_;
  std::optional<FileLease> lease_;
  std::vector<std::weak_ptr<Armed>> narrow_;
  std::uint64_t idle_since_ns_ = 0;  ///< 0: a process holds it
};

class Arms {
 public:
  struct Options {
    bool narrow = true;  ///< links of one process can be had
    bool adopt = false;  ///< new processes of a file are watched from their first hit: somebody answers MW_EVENT_NEW
  };
  /// How long a file stays armed after its last process: the next run of a short-lived tool finds it so.
  static constexpr std::uint64_t kLingerNs = 10'000'000'000;
  static constexpr std::uint64_t kLookNs = 100'000'000;

  /// `kernel`, `governor`, `sites` (numbers that are free) and `clock` must outlive it, and it the Arms' owners.
  Arms(attach::Kernel& kernel, Governor& governor, attach::Ranges& sites, const Clock& clock, Options options)
      : kernel_(kernel), governor_(governor), sites_(sites), clock_(clock), options_(options) {}

  /// The file that `target` runs, read and numbered; nothing is attached yet. Errors: of ProgramCache::load;
  /// kUnsupported when there are too many files or sites at once.
  Result<std::shared_ptr<Arm>> place(const attach::Target& target);
  /// Probes in `target`, whose policy is set. `reach` is what is wished for: a file that may be written to unseen is
  /// not armed as a whole where links of one process can be had. Hits are judged from its return on.
  Result<std::shared_ptr<Armed>> attach(const std::shared_ptr<Arm>& arm, const attach::Target& target, Match reach,
                                        const cli::Options& options);

  /// The file with links for all its processes; null when there is none.
  std::shared_ptr<Arm> wide(const FileKey& key) const;
  std::shared_ptr<Arm> by_layout(std::uint32_t layout) const;
  /// What was counted at each site of `arm` so far, in the plan's order.
  Result<std::vector<mw_site_counts>> site_counts(const Arm& arm) const;

  /// Disarms files that somebody wants to write to, and those that no process has run for long. Looks every 100 ms,
  /// however often it is called.
  void turn();
  /// Disarms files that no process is watched in, however short a time ago one was.
  void disarm_idle();
  /// Disarms everything; all that was handed out is detached too.
  void clear();

 private:
  friend class Arm;
  using Inode = std::pair<dev_t, ino_t>;
  static Inode inode_of(const FileKey& key) { return {key.dev, key.inode}; }
  Result<std::shared_ptr<Armed>> make(const Arm& arm, const attach::Target& target, int pid,
                                      const cli::Options& options);
  void disarm(Arm& arm);
  bool drop_an_idle_one();

  attach::Kernel& kernel_;
  Governor& governor_;
  attach::Ranges& sites_;
  const Clock& clock_;
  const Options options_;
  ProgramCache programs_;
  attach::Slots layouts_{0, MW_MAX_LAYOUTS};
  std::map<Inode, std::weak_ptr<Arm>> files_;
  std::map<std::uint32_t, std::weak_ptr<Arm>> by_layout_;
  std::vector<std::shared_ptr<Arm>> wide_;  ///< keeps them for kLingerNs
  std::uint64_t next_look_ns_ = 0;
  bool told_full_ = false;
};

}  // namespace mapwatch::app
