// Keeps what each watched process pays under its budget: hands counters to the planner (user/govern) and has the
// switcher do what it wants.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "app/program.h"
#include "attach/kernel.h"
#include "attach/ranges.h"
#include "attach/switcher.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/options.h"
#include "govern/planner.h"

namespace mapwatch::app {

class Governor;

/// The probes of one file, or of one process of it: those on Go's fatal path stand for good, the others as the planner
/// wants it. Detaches when it goes.
class Armed {
 public:
  Armed(Governor& governor, std::uint64_t group, attach::ProbeSet fatal)
      : governor_(governor), group_(group), fatal_(std::move(fatal)) {}
  ~Armed() { detach(); }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  /// When it returns, the text of every process is as in its file.
  void detach();

 private:
  friend class Governor;
  Governor& governor_;
  const std::uint64_t group_;
  attach::ProbeSet fatal_;
};

class Governor {
 public:
  /// Compares a plan with the text of a process, before it is patched (attach::verify_bytes).
  using Verify = std::function<Result<void>(const attach::Plan&)>;

  /// `kernel`, `sites` and `clock` must outlive it, and it what it has armed.
  /// `sites`: the kernel side's numbers of sites that are free.
  static Result<std::unique_ptr<Governor>> create(attach::Kernel& kernel, attach::Ranges& sites,
                                                  const govern::CostModel& costs, const Clock& clock);

  /// The probes on the fatal path stand when it returns; the others wait for a process that pays for them. `exe_fd`:
  /// the file; a copy is kept. `request.path` need not be filled.
  /// `options`: how it is sampled, and the budget of those that bring none of their own.
  Result<std::shared_ptr<Armed>> arm(std::shared_ptr<const Program> binary, attach::AttachRequest request, int exe_fd,
                                     const cli::Options& options);
  /// A process whose policy stands pays for these probes from now on, and what the planner wants at first stands when
  /// it returns: function probes first, and after a second of its life those of call sites in their place.
  struct Joining {
    std::uint32_t tgid = 0;
    std::uint32_t cpus = 1;      ///< how many of its threads run at once
    std::uint64_t bias = 0;      ///< load bias
    std::uint64_t lived_ns = 0;  ///< since it was started
    Verify verify;
  };
  /// `options`: its budget, and how it would be sampled.
  Result<void> join(const Armed& armed, Joining joining, const cli::Options& options);
  /// Places in the binary's own plan of those of its map probes that stand until something else is asked for or their
  /// time is over; none once call sites are in their place.
  std::vector<std::size_t> standing(const Armed& armed) const;
  /// The probe of a site that is known to the kernel side, for as long as it is armed; null when it is nobody's.
  const attach::ProbeSpec* probe_at(std::uint32_t site) const;
  /// It has ended, or runs another program now.
  void leave(std::uint32_t tgid);

  /// It used up its hits (MW_EVENT_OVER): turn() is due at once.
  void tripped(std::uint32_t tgid, std::uint32_t epoch);
  /// Half of an overlap was seen at a site (of the kernel's numbering) of this process.
  void overlap(std::uint32_t tgid, std::uint32_t site);

  /// Readable when turn() is due.
  std::vector<int> fds() const { return {switcher_->fd(), timer_.get()}; }
  /// Ticks the planners that are due.
  void turn();

  /// How one probed place stands.
  struct SiteFigures {
    const attach::ProbeSpec* probe = nullptr;  ///< lives as long as the process is watched by these probes
    std::uint64_t hits = 0;                    ///< since it was first armed
    govern::SiteState state;
    /// Until a race that begins now is seen, on average: of two goroutines that come to one map, one by this call and
    /// one by another that works as often and stands as it does; both through it where it is a function. kNever: not as
    /// things are; nullopt: it does no work, or nobody is held.
    std::optional<std::uint64_t> detection_ns;
  };
  /// What a process pays, and what is armed for it.
  struct Figures {
    govern::Status status;
    bool by_calls = false;      ///< sites are calls, not functions
    std::uint32_t sharing = 0;  ///< processes that pay for the same sites
    std::uint64_t armed = 0;    ///< of these sites, now
    double cost = 0;            ///< of its CPU time, over the last ten seconds
    double ops_per_s = 0;       ///< of all that share the sites, those that are not seen included, as far as is known
    double writes_per_s = 0;    ///< of these, those that write
    std::uint64_t cpu_ns = 0;   ///< its CPU time so far, as last read
  };
  /// By what a probe sits on (mw_op).
  using ByOp = std::array<std::uint64_t, MW_OP_THROW + 1>;
  struct Overview {
    std::map<std::uint32_t, Figures> processes;  ///< that joined
    ByOp armed = {};                             ///< sites of all, now
  };
  /// Each planner is asked once, and once of each site.
  Overview overview() const;
  std::map<std::uint32_t, Figures> figures() const { return overview().processes; }
  /// Of one process; empty when it is not known. `policy`: what it may be held, but for what its planner decides.
  std::vector<SiteFigures> sites_of(std::uint32_t tgid, mw_policy policy) const;

  struct Totals {
    double cost_ns = 0;  ///< charged to all processes so far: hits, each by its instruction class, and held time
    std::uint64_t sites = 0;
    std::uint64_t sites_armed = 0;
    double armed_share = 0;     ///< of the sites' time so far
    std::uint64_t crowded = 0;  ///< files, so far, whose call sites were more than there were numbers for
  };
  Totals totals() const;
  /// Traps so far, as last read; those on the fatal path are not counted.
  const ByOp& hits() const { return hits_; }

 private:
  friend class Armed;
  struct Member {
    Joining who;
    std::uint32_t budget_ppm = 0;
    std::uint64_t since_ns = 0;
    std::uint64_t cpu_ns = 0;  ///< as last read
    bool fresh = true;         ///< no planner has seen it
    mw_target_counts counts = {};
    std::optional<std::uint32_t> tripped;             ///< the epoch
    bool partial = false;                             ///< as its policy says
    std::optional<govern::MemberLimits> limits = {};  ///< as last written to its policy
  };
  /// What a planner decides on.
  struct Sites {
    std::shared_ptr<const attach::Plan> plan;
    std::uint32_t first = 0;             ///< the kernel side's number of plan->probes[0]
    std::vector<std::uint32_t> probes;   ///< by planner's site: index into the plan, ascending
    std::vector<mw_site_counts> counts;  ///< by planner's site, as last read
    std::vector<std::uint64_t> before;   ///< hits of their numbers' last owner
    std::unique_ptr<govern::Planner> planner;
  };
  using ComingPlan = std::shared_future<Result<std::shared_ptr<const attach::Plan>>>;
  struct Group {
    std::uint64_t id = 0;     ///< as its Armed knows it
    std::uint64_t links = 0;  ///< as the switcher knows its links
    std::shared_ptr<const Program> binary;
    attach::AttachRequest request;
    govern::Settings settings;
    UniqueFd exe;  ///< the file that request.path names
    Sites sites;
    ComingPlan coming;  ///< of call sites; not valid before it is begun, and when it was taken
    bool wants_calls = false;
    std::uint32_t crowded = 0;  ///< it wants so many numbers of sites, more than were free; 0: it was not tried
    bool by_calls = false;
    std::map<std::uint32_t, Member> members;
    std::vector<govern::SiteSignal> signals;
    std::vector<govern::LinkDone> done;
    bool due = false;
    std::uint64_t ticked_ns = 0;
    std::uint64_t next_ns = 0;
  };

  Governor(attach::Kernel& kernel, attach::Ranges& sites, std::unique_ptr<attach::Switcher> switcher, UniqueFd timer,
           const govern::CostModel& costs, const Clock& clock);
  /// CPU time of all threads of a process so far, to the ns (clock_getcpuclockid(3)). 0 when it is gone.
  static std::uint64_t cpu_ns(std::uint32_t tgid);
  Group* group_of(std::uint32_t tgid);
  /// What was counted since the last time, to the planner.
  govern::Plan tick(Group& group, std::uint64_t now);
  /// A little early rather than each at a time of its own: 40 idle groups would wake this process 40 times a second.
  static bool is_due(const Group& group, std::uint64_t now);
  /// Fills charged_ where that is less than reading each by itself.
  void read_charged(std::uint64_t now);
  std::vector<govern::SiteHits> read_sites(Group& group);
  std::vector<govern::MemberSample> read_members(Group& group);
  void apply(Group& group, govern::Plan plan);
  /// Attaches on this thread, for a process that is held until its probes stand.
  Result<void> apply_now(Group& group, govern::Plan plan);
  attach::Switcher::Make maker(const Group& group, std::vector<govern::SiteId> sites) const;
  /// Of a change to a process's policy: that the process has ended meanwhile is no error.
  static void tell_unless_gone(const Result<void>& done);
  void set_limits(Group& group, const govern::Plan& plan);
  /// The planner for those of a plan's probes that it may arm and disarm.
  Result<Sites> sites_of(std::shared_ptr<const attach::Plan> plan, std::uint32_t first,
                         const govern::Settings& settings) const;
  /// One of its processes has lived for a second.
  static bool lives(const Group& group, std::uint64_t now);
  /// Has the next plan of call sites made, one at a time: each takes memory, and CPU time for the largest programs.
  void plan_calls(std::uint64_t now);
  /// Takes up to a second for the largest programs: not for a thread that others wait for.
  static Result<std::shared_ptr<const attach::Plan>> call_sites_of(const Program& program);
  /// Call sites in place of functions, when they are known and the process has lived for a second.
  void turn_to_calls(Group& group, std::uint64_t now);
  Result<void> arm_calls(Group& group, std::shared_ptr<const attach::Plan> plan);
  /// Hits of these call sites in a second of CPU time, by what the probes of functions saw of their callers.
  std::vector<govern::SiteHits> learnt(const Group& group, const Sites& calls) const;
  void give_back(const Sites& sites);
  void take_done();
  void set_timer();
  void end(std::uint64_t id);

  attach::Kernel& kernel_;
  attach::Ranges& site_numbers_;
  std::unique_ptr<attach::Switcher> switcher_;
  const UniqueFd timer_;
  const govern::CostModel costs_;
  const Clock& clock_;
  /// Counters of all members, while many of them are ticked in one turn: a row of the kernel's holds those of 128.
  std::unordered_map<std::uint32_t, mw_target_counts> charged_;
  std::map<std::uint64_t, Group> groups_;            ///< by id
  std::map<std::uint32_t, std::uint64_t> members_;   ///< tgid to group
  std::map<std::uint64_t, std::uint64_t> by_links_;  ///< switcher's group to group
  ComingPlan planning_;                              ///< the last one that was begun
  std::uint64_t crowded_ = 0;
  std::uint64_t last_id_ = 0;  ///< of both kinds
  ByOp hits_ = {};
  double cost_ns_ = 0;
  double site_shares_ = 0;  ///< sum over the sites of groups that are gone
  std::uint64_t sites_gone_ = 0;
};

}  // namespace mapwatch::app
