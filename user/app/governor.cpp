#include "app/governor.h"

#include <fcntl.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "app/watcher_options.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

govern::Settings settings_of(const cli::Options& options, const govern::CostModel& costs, std::uint64_t seed) {
  govern::Settings settings;
  settings.costs = costs;
  settings.seed = seed;
  settings.budget_ppm = budget_ppm(options);
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

Result<std::unique_ptr<Governor>> Governor::create(attach::Kernel& kernel, attach::Ranges& sites,
                                                   const govern::CostModel& costs, const Clock& clock) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) {
    return fail_errno("timerfd");
  }
  return std::unique_ptr<Governor>(
      new Governor(kernel, sites, TRY(attach::Switcher::create(clock)), std::move(timer), costs, clock));
}

Governor::Governor(attach::Kernel& kernel, attach::Ranges& sites, std::unique_ptr<attach::Switcher> switcher,
                   UniqueFd timer, const govern::CostModel& costs, const Clock& clock)
    : kernel_(kernel),
      site_numbers_(sites),
      switcher_(std::move(switcher)),
      timer_(std::move(timer)),
      costs_(costs),
      clock_(clock) {}

Governor::Group* Governor::group_of(std::uint32_t tgid) {
  const auto id = members_.find(tgid);
  return id == members_.end() ? nullptr : &groups_.at(id->second);
}

Result<Governor::Sites> Governor::sites_of(std::shared_ptr<const attach::Plan> plan, std::uint32_t first,
                                           const govern::Settings& settings) const {
  Sites sites;
  std::vector<mw_site_class> classes;
  const auto all = TRY(kernel_.site_counts(first, plan->probes.size()));
  for (std::uint32_t i = 0; i < plan->probes.size(); ++i) {
    const attach::ProbeSpec& probe = plan->probes[i];
    if (!attach::is_fatal(probe) && !probe.initialiser) {
      sites.probes.push_back(i);
      sites.counts.push_back(all[i]);
      sites.before.push_back(all[i].hits);
      classes.push_back(probe.site_class);
    }
  }
  sites.planner = std::make_unique<govern::Planner>(settings, classes);
  sites.plan = std::move(plan);
  sites.first = first;
  return sites;
}

Result<std::shared_ptr<Armed>> Governor::arm(std::shared_ptr<const Program> binary, attach::AttachRequest request,
                                             int exe_fd, const cli::Options& options) {
  Group group;
  group.id = group.links = ++last_id_;
  group.settings = settings_of(options, costs_, clock_.monotonic_ns() + group.id);
  group.exe = UniqueFd(::fcntl(exe_fd, F_DUPFD_CLOEXEC, 0));
  if (!group.exe) {
    return fail_errno("cannot keep the executable open");
  }
  request.path = fmt::format("/proc/self/fd/{}", group.exe.get());
  request.which.emplace();
  for (std::uint32_t i = 0; i < binary->plan().probes.size(); ++i) {
    if (attach::is_fatal(binary->plan().probes[i])) {
      request.which->push_back(i);
    }
  }
  const std::shared_ptr<const attach::Plan> functions(binary, &binary->plan());
  group.sites = TRY(sites_of(functions, request.first_site, group.settings));
  attach::ProbeSet fatal = TRY(kernel_.attach(binary->plan(), request));
  group.request = request;
  group.wants_calls = group.settings.sampling != govern::Sampling::kFull;
  group.binary = std::move(binary);
  by_links_[group.links] = group.id;
  const std::uint64_t id = group.id;
  groups_.emplace(id, std::move(group));
  return std::make_shared<Armed>(*this, id, std::move(fatal));
}

Result<void> Governor::join(const Armed& armed, Joining joining, const cli::Options& options) {
  const std::uint32_t tgid = joining.tgid;
  const auto group = groups_.find(armed.group_);
  if (group == groups_.end()) {
    return fail(ErrorKind::kGone, fmt::format("the probes of process {} were taken out", tgid));
  }
  const govern::Settings wished = settings_of(options, costs_, 0);
  if (const govern::Settings& has = group->second.settings;
      wished.sampling != has.sampling || wished.one_in != has.one_in) {
    log::warn("PID {}: another process of its file came first, and its --sample is theirs both: they share the probes",
              tgid);
  }
  const mw_target_counts counts = TRY(kernel_.target_counters(tgid));
  const std::uint64_t now = clock_.monotonic_ns();
  members_[tgid] = armed.group_;
  if (group->second.wants_calls) {
    TRY(kernel_.set_flag(tgid, MW_POLICY_LEARN, true));
  }
  group->second.members.insert_or_assign(
      tgid, Member{std::move(joining), wished.budget_ppm, now, cpu_ns(tgid), true, counts, {}, false, {}});
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
  const auto group = groups_.find(armed.group_);
  if (group == groups_.end() || group->second.by_calls) {
    return out;
  }
  const Sites& sites = group->second.sites;
  const std::uint64_t now = clock_.monotonic_ns();
  for (const govern::Link& link : sites.planner->links()) {
    if (link.until_ns > now) {  // the switcher ends it by itself, and tells later
      std::ranges::transform(link.sites, std::back_inserter(out),
                             [&](govern::SiteId site) { return sites.probes[site]; });
    }
  }
  std::ranges::sort(out);
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

}  // namespace mapwatch::app
