#include "app/governor.h"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>

#include <fmt/format.h>

#include "attach/site_plan.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

/// A process that lives for less keeps the probes of functions.
constexpr std::uint64_t kYoungNs = 1'000'000'000;
/// Text that breakpoints may make private to a process (design.md section 4).
constexpr std::size_t kMostText = std::size_t{4} << 20;
constexpr std::size_t kPage = 4096;

/// Pages of the file that a plan patches.
std::size_t text_pages(const attach::Plan& plan) {
  std::set<std::uint64_t> pages;
  for (const attach::ProbeSpec& probe : plan.probes) {
    pages.insert(probe.file_offset / kPage);
  }
  return pages.size();
}

/// CPU time of all threads of a process so far, to the ns (clock_getcpuclockid(3)). 0 when it is gone.
std::uint64_t cpu_ns(std::uint32_t tgid) {
  clockid_t id = 0;
  timespec time = {};
  if (::clock_getcpuclockid(static_cast<pid_t>(tgid), &id) != 0 || ::clock_gettime(id, &time) != 0) {
    return 0;
  }
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

govern::Settings settings_of(const cli::Options& options, const govern::CostModel& costs, std::uint64_t seed) {
  govern::Settings settings;
  settings.costs = costs;
  settings.seed = seed;
  settings.budget_ppm = static_cast<std::uint32_t>(std::clamp(options.budget, 0.0, 1.0) * 1e6);
  if (options.sample == "full") {
    settings.sampling = govern::Sampling::kFull;
  } else if (const std::size_t slash = options.sample.find('/'); slash != std::string::npos) {
    settings.sampling = govern::Sampling::kShare;
    std::from_chars(options.sample.data() + slash + 1, options.sample.data() + options.sample.size(), settings.one_in);
  }
  return settings;
}

}  // namespace

void Armed::detach() {
  governor_.end(group_);
  fatal_.detach();
}

Result<std::unique_ptr<Governor>> Governor::create(const cli::Options& options, attach::Kernel& kernel,
                                                   attach::Ranges& sites, const govern::CostModel& costs,
                                                   const Clock& clock) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) {
    return fail_errno("timerfd");
  }
  return std::unique_ptr<Governor>(new Governor(kernel, sites, TRY(attach::Switcher::create(clock)), std::move(timer),
                                                settings_of(options, costs, clock.monotonic_ns()), clock));
}

Governor::Governor(attach::Kernel& kernel, attach::Ranges& sites, std::unique_ptr<attach::Switcher> switcher,
                   UniqueFd timer, govern::Settings settings, const Clock& clock)
    : kernel_(kernel),
      site_numbers_(sites),
      switcher_(std::move(switcher)),
      timer_(std::move(timer)),
      settings_(std::move(settings)),
      clock_(clock) {}

Governor::Group* Governor::group_of(std::uint32_t tgid) {
  const auto id = members_.find(tgid);
  return id == members_.end() ? nullptr : &groups_.at(id->second);
}

Result<Governor::Sites> Governor::sites_of(std::shared_ptr<const attach::Plan> plan, std::uint32_t first,
                                           std::uint64_t seed) const {
  Sites sites;
  std::vector<mw_site_class> classes;
  const auto all = TRY(kernel_.site_counts(first, plan->probes.size()));
  for (std::uint32_t i = 0; i < plan->probes.size(); ++i) {
    const attach::ProbeSpec& probe = plan->probes[i];
    if (!attach::is_fatal(probe) && !probe.initialiser) {
      sites.probes.push_back(i);
      sites.counts.push_back(all[i]);
      classes.push_back(probe.site_class);
    }
  }
  govern::Settings settings = settings_;
  settings.seed += seed;
  sites.planner = std::make_unique<govern::Planner>(settings, classes);
  sites.plan = std::move(plan);
  sites.first = first;
  return sites;
}

Result<std::shared_ptr<Armed>> Governor::arm(std::shared_ptr<const WatchedBinary> binary, attach::AttachRequest request,
                                             int exe_fd) {
  Group group;
  group.id = group.links = ++last_id_;
  group.exe = UniqueFd(::fcntl(exe_fd, F_DUPFD_CLOEXEC, 0));
  if (!group.exe) {
    return fail_errno("cannot keep the executable open");
  }
  request.path = fmt::format("/proc/self/fd/{}", group.exe.get());
  request.which.emplace();
  for (std::uint32_t i = 0; i < binary->plan.probes.size(); ++i) {
    if (attach::is_fatal(binary->plan.probes[i])) {
      request.which->push_back(i);
    }
  }
  const std::shared_ptr<const attach::Plan> functions(binary, &binary->plan);
  group.sites = TRY(sites_of(functions, request.first_site, group.id));
  attach::ProbeSet fatal = TRY(kernel_.attach(binary->plan, request));
  group.request = request;
  if (settings_.sampling != govern::Sampling::kFull) {
    group.coming = call_sites_of(binary);
  }
  group.binary = std::move(binary);
  by_links_[group.links] = group.id;
  const std::uint64_t id = group.id;
  groups_.emplace(id, std::move(group));
  return std::make_shared<Armed>(*this, id, std::move(fatal));
}

Governor::ComingPlan Governor::call_sites_of(const std::shared_ptr<const WatchedBinary>& binary) {
  std::erase_if(coming_, [this](const auto& entry) {
    return std::ranges::none_of(groups_, [&](const auto& group) { return group.second.binary.get() == entry.first; });
  });
  ComingPlan& coming = coming_[binary.get()];
  if (!coming.valid()) {
    // Up to some hundred milliseconds for the largest programs: not on a thread that others wait for.
    coming = std::async(std::launch::async, [binary]() -> Result<std::shared_ptr<const attach::Plan>> {
               return std::make_shared<const attach::Plan>(TRY(attach::plan_call_sites(binary->binary, binary->plan)));
             }).share();
  }
  return coming;
}

void Governor::turn_to_calls(Group& group, std::uint64_t now) {
  const bool lived = std::ranges::any_of(
      group.members, [now](const auto& member) { return now - member.second.since_ns >= kYoungNs; });
  if (!group.coming.valid() || !lived || group.coming.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return;
  }
  const auto plan = std::exchange(group.coming, {}).get();
  if (auto armed = plan ? arm_calls(group, *plan) : tl::unexpected(plan.error()); !armed) {
    log::debug("{}: probes stay on functions: {}", group.request.path, log::printable(armed.error().message));
  }
}

Result<void> Governor::arm_calls(Group& group, std::shared_ptr<const attach::Plan> plan) {
  const std::size_t pages = text_pages(*plan);
  if (pages * kPage > kMostText) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("its call sites would make {} KiB of its text private", pages * kPage / 1024));
  }
  for (const auto& [tgid, member] : group.members) {
    TRY(member.verify(*plan));
  }
  const auto count = static_cast<std::uint32_t>(plan->probes.size());
  const auto first = site_numbers_.take(count);
  if (!first) {
    return fail(ErrorKind::kUnsupported, fmt::format("more than {} sites at once", MW_MAX_SITES));
  }
  const std::uint64_t links = ++last_id_;
  auto sites = sites_of(std::move(plan), *first, links);
  if (!sites) {
    site_numbers_.give_back(*first, count);
    return tl::unexpected(std::move(sites).error());
  }
  // Functions first come off, so that no operation is counted twice.
  switcher_->end_group(group.links);
  by_links_.erase(group.links);
  read_sites(group);
  sites->planner->inherit(*group.sites.planner);
  group.sites = std::move(*sites);
  group.links = links;
  group.request.first_site = *first;
  group.by_calls = true;
  group.done.clear();
  group.due = true;
  by_links_[links] = group.id;
  return {};
}

void Governor::give_back(const Sites& sites) {
  site_numbers_.give_back(sites.first, static_cast<std::uint32_t>(sites.plan->probes.size()));
}

Result<void> Governor::join(const Armed& armed, std::uint32_t tgid, std::uint32_t cpus, Verify verify) {
  const auto group = groups_.find(armed.group_);
  if (group == groups_.end()) {
    return fail(ErrorKind::kGone, fmt::format("the probes of process {} were taken out", tgid));
  }
  const mw_target_counts counts = TRY(kernel_.target_counters(tgid));
  const std::uint64_t now = clock_.monotonic_ns();
  members_[tgid] = armed.group_;
  group->second.members.insert_or_assign(tgid, Member{cpus, std::move(verify), now, cpu_ns(tgid), counts, {}, false});
  TRY(apply_now(group->second, tick(group->second, now)));
  set_timer();
  return {};
}

const attach::ProbeSpec* Governor::probe_at(std::uint32_t site) const {
  for (const auto& [id, group] : groups_) {
    const std::uint32_t index = site - group.sites.first;
    if (site >= group.sites.first && index < group.sites.plan->probes.size()) {
      return &group.sites.plan->probes[index];
    }
  }
  return nullptr;
}

std::vector<std::size_t> Governor::standing(const Armed& armed) const {
  std::vector<std::size_t> out;
  if (const auto group = groups_.find(armed.group_); group != groups_.end()) {
    for (govern::SiteId site = 0; site < group->second.sites.probes.size(); ++site) {
      if (group->second.sites.planner->site(site).armed) {
        out.push_back(group->second.sites.probes[site]);
      }
    }
  }
  return out;
}

void Governor::leave(std::uint32_t tgid) {
  if (Group* group = group_of(tgid)) {
    read_sites(*group);
    read_members(*group);
    group->members.erase(tgid);
    group->due = true;
  }
  members_.erase(tgid);
}

void Governor::end(std::uint64_t id) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) {
    return;
  }
  Group& group = found->second;
  switcher_->end_group(group.links);
  read_sites(group);
  for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
    site_shares_ += group.sites.planner->site(site).measured_share;
  }
  sites_gone_ += group.sites.probes.size();
  if (group.by_calls) {
    give_back(group.sites);
  }
  for (const auto& [tgid, member] : group.members) {
    members_.erase(tgid);
  }
  by_links_.erase(group.links);
  groups_.erase(found);
}

attach::Switcher::Make Governor::maker(const Group& group, std::vector<govern::SiteId> sites) const {
  attach::AttachRequest request = group.request;
  request.which.emplace();
  for (const govern::SiteId site : sites) {
    request.which->push_back(group.sites.probes[site]);
  }
  // `binary` holds what the plan's names refer to.
  return
      [&kernel = kernel_, plan = group.sites.plan, binary = group.binary, request]() -> Result<attach::Switcher::Link> {
        return std::make_shared<attach::ProbeSet>(TRY(kernel.attach(*plan, request)));
      };
}

std::vector<govern::SiteHits> Governor::read_sites(Group& group) {
  Sites& sites = group.sites;
  std::vector<govern::SiteHits> hits;
  const auto all = kernel_.site_counts(sites.first, sites.plan->probes.size());
  if (!all) {
    log::print_error(all.error());
    return hits;
  }
  for (govern::SiteId site = 0; site < sites.probes.size(); ++site) {
    const std::uint32_t probe = sites.probes[site];
    const mw_site_counts now = (*all)[probe];
    mw_site_counts& before = sites.counts[site];
    if (now.hits != before.hits) {
      hits.push_back({site, now.hits - before.hits, now.candidates - before.candidates});
      cost_ns_ += settings_.costs.hit_ns(sites.plan->probes[probe].site_class, now.hits - before.hits);
      before = now;
    }
  }
  return hits;
}

std::vector<govern::MemberSample> Governor::read_members(Group& group) {
  std::vector<govern::MemberSample> members;
  for (auto& [tgid, member] : group.members) {
    const std::uint64_t used = std::max(member.cpu_ns, cpu_ns(tgid));
    const mw_target_counts counts = kernel_.target_counters(tgid).value_or(member.counts);
    govern::MemberSample sample;
    sample.member = tgid;
    sample.cpu_ns = used - member.cpu_ns;
    sample.held_ns = counts.held_ns - member.counts.held_ns;
    sample.hits = counts.hits - member.counts.hits;
    sample.cpus = member.cpus;
    sample.tripped = member.tripped.has_value();
    sample.epoch = member.tripped.value_or(0);
    cost_ns_ += static_cast<double>(sample.held_ns);
    member.cpu_ns = used;
    member.counts = counts;
    member.tripped.reset();
    members.push_back(sample);
  }
  return members;
}

govern::Plan Governor::tick(Group& group, std::uint64_t now) {
  const auto hits = read_sites(group);
  const auto members = read_members(group);
  const auto signals = std::exchange(group.signals, {});
  const auto done = std::exchange(group.done, {});
  govern::Plan plan = group.sites.planner->tick({now, hits, signals, members, done});
  group.next_ns = plan.next_ns;
  group.due = false;
  return plan;
}

void Governor::set_limits(Group& group, const govern::Plan& plan) {
  const auto tell = [](const Result<void>& set) {
    if (!set && set.error().kind != ErrorKind::kGone) {
      log::print_error(set.error());
    }
  };
  for (auto& [tgid, member] : group.members) {
    if (member.partial != plan.partial) {
      member.partial = plan.partial;
      tell(kernel_.set_partial(tgid, plan.partial));
    }
  }
  if (settings_.sampling == govern::Sampling::kFull) {
    return;  // what a process may be held is as it was set
  }
  for (const govern::MemberLimits& limits : plan.limits) {
    // 0 is no limit to the kernel side.
    const std::uint64_t hits = limits.hits == UINT64_MAX ? 0 : std::max<std::uint64_t>(limits.hits, 1);
    tell(kernel_.set_limits(limits.member, limits.epoch, hits, limits.dwell_share_ppm));
  }
}

void Governor::apply(Group& group, govern::Plan plan) {
  set_limits(group, plan);
  for (govern::Action& action : plan.actions) {
    const attach::Switcher::Name name{group.links, action.link};
    switch (action.kind) {
      case govern::ActionKind::kDetach:
        switcher_->detach(name);
        break;
      case govern::ActionKind::kAttach:
        switcher_->attach(name, maker(group, std::move(action.sites)), action.for_ns);
        break;
      case govern::ActionKind::kKeep:
        switcher_->keep(name, action.for_ns);
        break;
    }
  }
}

Result<void> Governor::apply_now(Group& group, govern::Plan plan) {
  govern::Plan rest = plan;
  std::erase_if(rest.actions, [](const govern::Action& action) { return action.kind == govern::ActionKind::kAttach; });
  apply(group, std::move(rest));
  for (govern::Action& action : plan.actions) {
    if (action.kind != govern::ActionKind::kAttach) {
      continue;
    }
    const attach::Switcher::Name name{group.links, action.link};
    const auto done = TRY(switcher_->attach_now(name, maker(group, std::move(action.sites)), action.for_ns));
    group.done.push_back({action.link, true, false, done.began_ns, done.ended_ns});
  }
  group.due = true;
  return {};
}

void Governor::tripped(std::uint32_t tgid, std::uint32_t epoch) {
  if (Group* group = group_of(tgid)) {
    group->members.at(tgid).tripped = epoch;
    group->due = true;
    set_timer();
  }
}

void Governor::overlap(std::uint32_t tgid, std::uint32_t site) {
  Group* group = group_of(tgid);
  if (group == nullptr) {
    return;
  }
  const std::vector<std::uint32_t>& probes = group->sites.probes;
  const auto probe = std::ranges::lower_bound(probes, site - group->sites.first);
  if (probe != probes.end() && *probe == site - group->sites.first) {
    group->signals.push_back({static_cast<govern::SiteId>(probe - probes.begin()), govern::SignalKind::kOverlap});
    group->due = true;
  }
}

void Governor::take_done() {
  for (attach::Switcher::Done& done : switcher_->done()) {
    const auto id = by_links_.find(done.name.first);
    const auto group = id == by_links_.end() ? groups_.end() : groups_.find(id->second);
    if (group == groups_.end()) {
      continue;
    }
    if (done.error && done.error->kind != ErrorKind::kGone) {
      log::warn("{}", log::printable(done.error->message));
    }
    group->second.done.push_back(
        {done.name.second, done.attached, done.error.has_value(), done.began_ns, done.ended_ns});
    group->second.due = true;
  }
}

void Governor::turn() {
  take_done();
  const std::uint64_t now = clock_.monotonic_ns();
  for (auto& [id, group] : groups_) {
    turn_to_calls(group, now);
    if (group.due || group.next_ns <= now) {
      apply(group, tick(group, now));
    }
  }
  set_timer();
}

void Governor::set_timer() {
  std::uint64_t next = UINT64_MAX;
  for (const auto& [id, group] : groups_) {
    next = std::min(next, group.due ? 1 : group.next_ns);  // a time that is past fires at once; 0 would disarm it
  }
  itimerspec when = {};
  if (next != UINT64_MAX) {
    when.it_value.tv_sec = static_cast<time_t>(next / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(next % 1'000'000'000);
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

Governor::Totals Governor::totals() const {
  Totals totals;
  totals.cost_ns = cost_ns_;
  double shares = site_shares_;
  totals.sites = sites_gone_;
  for (const auto& [id, group] : groups_) {
    for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
      const govern::SiteState state = group.sites.planner->site(site);
      shares += state.measured_share;
      totals.sites_armed += state.armed;
    }
    totals.sites += group.sites.probes.size();
  }
  totals.armed_share = totals.sites > 0 ? shares / static_cast<double>(totals.sites) : 0;
  return totals;
}

std::optional<govern::Status> Governor::status(std::uint32_t tgid) const {
  const auto id = members_.find(tgid);
  return id == members_.end() ? std::nullopt : std::optional(groups_.at(id->second).sites.planner->status());
}

}  // namespace mapwatch::app
