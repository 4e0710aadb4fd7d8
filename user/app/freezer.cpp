#include "app/freezer.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "attach/text_check.h"
#include "base/job.h"
#include "base/log.h"
#include "correlate/correlator.h"
#include "guardian/parents.h"
#include "guardian/thaw.h"

namespace mapwatch::app {

namespace {

constexpr std::size_t kRestarts = 5;  // within a minute: somebody does not want it to run
constexpr std::uint64_t kRestartsNs = 60'000'000'000;
constexpr std::chrono::microseconds kRegistersBound(100'000);

void thaw_leftovers(const cli::Options& options, const proc::ProcFs& procfs) {
  for (const guardian::Thawed& thawed :
       guardian::thaw(options.run_dir, std::nullopt, guardian::Owned::kLeave, procfs)) {
    if (thawed.outcome == guardian::LetGo::kContinued || thawed.outcome == guardian::LetGo::kRefused) {
      log::warn("PID {} was left frozen by a mapwatch that was killed: it {}", thawed.pid,
                guardian::what_happened(*thawed.outcome));
    }
  }
}

/// Where a process may stand still: in its text, at the probes of its fatal path.
std::vector<std::uint64_t> fatal_sites(const attach::Plan& plan, std::uint64_t bias) {
  std::vector<std::uint64_t> sites;
  for (const attach::ProbeSpec& probe : plan.probes) {
    if (attach::is_fatal(probe)) {
      sites.push_back(probe.address + bias);
    }
  }
  return sites;
}

}  // namespace

std::unique_ptr<Freezer> Freezer::create(const cli::Options& options, const Clock& clock) {
  std::unique_ptr<Freezer> freezer(new Freezer(options, clock));
  thaw_leftovers(options, freezer->procfs_);
  if (options.on_crash == "none") {
    return freezer;
  }
  if (options.follow) {
    log::debug("--follow: descendants are traced, and a traced process is not frozen at its crash");
    return freezer;
  }
  freezer->wake_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!freezer->wake_ || !freezer->start_guardian()) {
    freezer->give_up("no guardian process");
  }
  return freezer;
}

Freezer::~Freezer() {
  for (const auto& [tgid, held] : held_) {
    if (guardian_) {
      guardian_->forget(tgid);
    }
  }
}

bool Freezer::start_guardian() {
  auto started = guardian::Guardian::start();
  if (!started) {
    log::print_error(started.error());
    return false;
  }
  guardian_ = std::move(*started);
  epoll_event event = {};
  event.events = EPOLLIN;
  // The socket of one that died was closed, which took it out of the set.
  return ::epoll_ctl(wake_.get(), EPOLL_CTL_ADD, guardian_->fd(), &event) == 0;
}

void Freezer::connect(attach::Kernel& kernel) {
  kernel_ = &kernel;
  if (!guardian_) {
    return;
  }
  if (auto connected = guardian_->connect(kernel.freeze_notes_fd(), kernel.freeze_gate_fd(), options_.max_freeze_ns,
                                          options_.procfs);
      !connected) {
    give_up(connected.error().message);
    return;
  }
  if (!guardian_->remark().empty()) {
    log::debug("guardian (PID {}): {}", guardian_->pid(), guardian_->remark());
  }
}

void Freezer::give_up(const std::string& why) {
  log::warn("crashing processes are not frozen: {}", why);
  guardian_.reset();
  for (const auto& [tgid, held] : held_) {
    (void)kernel_->set_freeze(tgid, 0);  // fails for a process that has gone
  }
}

Result<void> Freezer::allow(std::uint32_t tgid, Held& held) {
  TRY(guardian_->watch(tgid, held.pidfd, held.file.path()));
  return kernel_->set_freeze(tgid,
                             options_.on_fatal == "all" ? MW_POLICY_FREEZE | MW_POLICY_FREEZE_ALL : MW_POLICY_FREEZE);
}

void Freezer::add(const attach::Target& target, const attach::Plan& plan, std::uint64_t load_bias) {
  std::vector<std::uint64_t> sites = fatal_sites(plan, load_bias);
  if (!guardian_ || sites.empty()) {
    return;
  }
  if (proc::is_foreground_job(target.pid(), procfs_)) {
    log::info("PID {} is a shell's foreground job: the shell would take a freeze for ^Z, so there is none at a crash",
              target.pid());
    return;
  }
  const auto add = [&]() -> Result<void> {
    const auto self = guardian::process_key(static_cast<int>(::getpid()), proc::ProcFs());
    guardian::HeldRecord record;
    record.process = {target.pid(), target.start_time()};
    record.boot_id = TRY(procfs_.boot_id());
    record.exe_dev = target.exe_dev();
    record.exe_inode = target.exe_inode();
    record.owner = self.value_or(guardian::ProcessKey{static_cast<int>(::getpid()), 0});
    record.guardian = guardian::process_key(guardian_->pid(), proc::ProcFs()).value_or(guardian::ProcessKey{});
    record.sites = std::move(sites);
    guardian::HeldFile file = TRY(guardian::HeldFile::write(options_.run_dir, record));
    Held held{target.pidfd(), std::move(record), std::move(file)};
    const auto tgid = static_cast<std::uint32_t>(target.pid());
    TRY(allow(tgid, held));
    held_.insert_or_assign(tgid, std::move(held));
    return {};
  };
  if (auto added = add(); !added && added.error().kind != ErrorKind::kGone && target.check()) {
    log::warn("PID {} will not be frozen at a crash: {}", target.pid(), added.error().message);
  }
}

void Freezer::drop(int pid) {
  const auto tgid = static_cast<std::uint32_t>(pid);
  if (guardian_ && held_.contains(tgid)) {
    guardian_->forget(tgid);
  }
  held_.erase(tgid);
}

void Freezer::turn() {
  if (!guardian_ || guardian_->alive()) {
    return;
  }
  for (const auto& [tgid, held] : held_) {
    (void)kernel_->set_freeze(tgid, 0);  // fails for a process that has gone
  }
  const std::uint64_t now = clock_.monotonic_ns();
  while (!restarts_ns_.empty() && now - restarts_ns_.front() > kRestartsNs) {
    restarts_ns_.pop_front();
  }
  restarts_ns_.push_back(now);
  if (restarts_ns_.size() > kRestarts) {
    give_up("the guardian process was killed again and again");
    return;
  }
  log::warn("the guardian process (PID {}) is gone: starting another", guardian_->pid());
  guardian_.reset();
  if (!start_guardian()) {
    give_up("no guardian process");
    return;
  }
  connect(*kernel_);
  for (auto& [tgid, held] : held_) {
    if (!guardian_) {
      return;
    }
    held.record.guardian = guardian::process_key(guardian_->pid(), proc::ProcFs()).value_or(guardian::ProcessKey{});
    auto again = held.file.rewrite(held.record);
    again = again ? allow(tgid, held) : again;
    if (held.let_go) {
      guardian_->released(tgid);  // the freeze may be in the ring still, unread by the guardian that died
    }
    if (!again && again.error().kind != ErrorKind::kGone) {
      log::warn("PID {} will not be frozen at a crash: {}", tgid, again.error().message);
    }
  }
}

bool Freezer::wanted(const attach::Target& target, mw_fatal_event& event) const {
  if ((event.flags & MW_FATAL_TEXT_UNREADABLE) == 0) {
    return true;
  }
  // The kernel side stops the process when it cannot tell why it dies. Through /proc/PID/mem the page is brought in.
  const auto memory = attach::ProcessMemory::open(target, procfs_);
  const std::size_t length = std::min<std::size_t>(event.text_len, MW_MAX_TEXT);
  if (!memory || !memory->read(event.text_addr, std::span<std::uint8_t>(event.text, length))) {
    return true;
  }
  event.flags &= ~static_cast<mw_u32>(MW_FATAL_TEXT_UNREADABLE);
  return options_.on_fatal == "all" ||
         correlate::classify_map_fatal({reinterpret_cast<const char*>(event.text), length}).has_value();
}

void Freezer::copy(const attach::Target& target, Capture& capture) {
  if (!wanted(target, capture.event)) {
    return;
  }
  const auto maps = proc::read_file(procfs_.path(target.pid(), "maps"), std::size_t{64} << 20);
  const auto half = std::chrono::microseconds(options_.max_freeze_ns / 2'000);
  auto registers = attach::read_registers(target.pid(), std::min(kRegistersBound, half), procfs_);
  if (!registers) {
    log::warn("PID {}: {}", target.pid(), registers.error().message);
  }
  const attach::Registers none;
  Frozen frozen{target,
                *kernel_,
                capture.event,
                registers ? *registers : none,
                maps ? *maps : std::string(),
                capture.event.head.time_ns + options_.max_freeze_ns / 2};
  log::debug("PID {} frozen: registers of {} threads ({} missed), {} bytes of maps", target.pid(),
             frozen.registers.threads.size(), frozen.registers.missed.size(), frozen.maps.size());
  if (copy_) {
    copy_(frozen);
  }
}

std::uint64_t Freezer::let_go(std::uint32_t tgid, const Held& held) {
  const guardian::LetGo outcome =
      guardian::let_go(held.pidfd, held.record.process.pid, held.record.sites, guardian::Knowledge::kFrozen, procfs_);
  const std::uint64_t now = clock_.monotonic_ns();
  if (guardian_) {
    guardian_->released(tgid);
  }
  if (outcome != guardian::LetGo::kContinued && outcome != guardian::LetGo::kGone) {
    log::warn("PID {} {}", tgid, guardian::what_happened(outcome));
  }
  for (const int parent : guardian::wake_parents(held.record.process.pid, procfs_)) {
    log::info("PID {} had stopped itself because its child PID {} was frozen: it was told to run on", parent, tgid);
  }
  return now;
}

std::optional<Freezer::Capture> Freezer::capture(Bytes record, const attach::Target* target) {
  Capture capture = {};
  if (record.size() != sizeof(capture.event)) {
    return std::nullopt;
  }
  std::memcpy(&capture.event, record.data(), sizeof(capture.event));
  const mw_event_head& head = capture.event.head;
  const auto held = held_.find(head.tgid);
  if (head.kind != MW_EVENT_FATAL || (capture.event.flags & MW_FATAL_FROZEN) == 0 || held == held_.end() ||
      target == nullptr) {
    return std::nullopt;
  }
  // mapwatch may have been held up itself: what the guardian has let go is not to be touched again.
  if (guardian_) {
    guardian_->alive();
    if (const auto deed = guardian_->deed(head.tgid)) {
      log::warn("PID {}: the guardian ended its freeze after --max-freeze: it {}", head.tgid,
                guardian::what_happened(deed->outcome));
      capture.frozen_ns = deed->time_ns - head.time_ns;
      return capture;
    }
  }
  copy(*target, capture);
  capture.frozen_ns = let_go(head.tgid, held->second) - head.time_ns;
  held->second.let_go = true;
  return capture;
}

}  // namespace mapwatch::app
