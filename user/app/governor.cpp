#include "app/governor.h"

#include <fcntl.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "attach/site_plan.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

/// A process that lives for less keeps the probes of functions.
constexpr std::uint64_t kYoungNs = 1'000'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
/// Of a direct call: e8 and a displacement of 32 bits.
constexpr std::uint64_t kCallBytes = 5;
/// Text that breakpoints may make private to a process (design.md section 4).
constexpr std::size_t kMostText = std::size_t{4} << 20;
constexpr std::size_t kPage = 4096;
/// Numbers of sites that call sites leave to the function probes of files that come later.
constexpr std::uint32_t kForFunctions = MW_MAX_SITES / 8;

/// Pages of the file that a plan patches.
std::size_t text_pages(const attach::Plan& plan) {
  std::set<std::uint64_t> pages;
  for (const attach::ProbeSpec& probe : plan.probes) {
    pages.insert(probe.file_offset / kPage);
  }
  return pages.size();
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

Result<std::shared_ptr<Armed>> Governor::arm(std::shared_ptr<const Program> binary, attach::AttachRequest request,
                                             int exe_fd) {
  Group group;
  group.id = group.links = ++last_id_;
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
  group.sites = TRY(sites_of(functions, request.first_site, group.id));
  attach::ProbeSet fatal = TRY(kernel_.attach(binary->plan(), request));
  group.request = request;
  group.wants_calls = settings_.sampling != govern::Sampling::kFull;
  group.binary = std::move(binary);
  by_links_[group.links] = group.id;
  const std::uint64_t id = group.id;
  groups_.emplace(id, std::move(group));
  plan_calls(clock_.monotonic_ns());
  return std::make_shared<Armed>(*this, id, std::move(fatal));
}

Result<std::shared_ptr<const attach::Plan>> Governor::call_sites_of(const Program& program) {
  const auto parsed = program.parsed();
  if (!parsed) {
    return fail(ErrorKind::kGone, "the program's file was written to");
  }
  // The names of callers lie in the file: it stays mapped, the parsed binary need not stay.
  struct Held {
    std::shared_ptr<const elf::MappedFile> file;
    attach::Plan plan;
  };
  const auto held =
      std::make_shared<const Held>(Held{parsed->file, TRY(attach::plan_call_sites(parsed->binary, program.plan()))});
  parsed->file->forget_pages();
  return std::shared_ptr<const attach::Plan>(held, &held->plan);
}

bool Governor::lives(const Group& group, std::uint64_t now) {
  return std::ranges::any_of(group.members,
                             [now](const auto& member) { return now - member.second.since_ns >= kYoungNs; });
}

void Governor::plan_calls(std::uint64_t now) {
  if (planning_.valid() && planning_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return;
  }
  planning_ = {};
  const auto wants = [this](const Group& group) {
    return group.wants_calls && !group.coming.valid() &&
           (group.crowded == 0 || site_numbers_.fits(group.crowded + kForFunctions));
  };
  Group* next = nullptr;
  bool waits = false;  // one that was made, for a group that is young
  for (auto& [id, group] : groups_) {
    waits |= group.coming.valid();
    if (wants(group) && (next == nullptr || (!lives(*next, now) && lives(group, now)))) {
      next = &group;
    }
  }
  // What is young may end before its plan is of use: no more than one such plan is kept.
  if (next == nullptr || (waits && !lives(*next, now))) {
    return;
  }
  planning_ = std::async(std::launch::async, [binary = next->binary] { return call_sites_of(*binary); }).share();
  for (auto& [id, group] : groups_) {
    if (group.binary == next->binary && wants(group)) {
      group.coming = planning_;
    }
  }
}

void Governor::turn_to_calls(Group& group, std::uint64_t now) {
  if (!group.coming.valid() || !lives(group, now) ||
      group.coming.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return;
  }
  const auto plan = std::exchange(group.coming, {}).get();
  group.wants_calls = false;
  for (const auto& [tgid, member] : group.members) {
    if (auto off = kernel_.set_flag(tgid, MW_POLICY_LEARN, false); !off && off.error().kind != ErrorKind::kGone) {
      log::print_error(off.error());
    }
  }
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
    TRY(member.who.verify(*plan));
  }
  const auto count = static_cast<std::uint32_t>(plan->probes.size());
  const auto first = site_numbers_.fits(count + kForFunctions) ? site_numbers_.take(count) : std::nullopt;
  if (!first) {
    if (crowded_ == 0) {
      log::warn(
          "{} call sites more are not to be had, {} are the most at once: programs are watched by their map "
          "functions until others have ended",
          count, MW_MAX_SITES - kForFunctions);
    }
    crowded_ += group.crowded == 0 ? 1 : 0;
    group.crowded = count;
    group.wants_calls = true;
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
  sites->planner->expect(learnt(group, *sites), kSecondNs);
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

// How hot a function is its planner knows; its callers have parts of that.
std::vector<govern::SiteHits> Governor::learnt(const Group& group, const Sites& calls) const {
  struct Caller {
    govern::SiteId site = 0;
    std::uint32_t function = 0;
    std::uint64_t hits = 0;
  };
  std::vector<Caller> callers;
  std::map<std::uint32_t, std::uint64_t> of_function;
  for (const auto& [tgid, member] : group.members) {
    const auto counted = kernel_.callers(tgid);
    if (!counted) {
      log::print_error(counted.error());
      continue;
    }
    for (const mw_caller_count& each : *counted) {
      of_function[each.site] += each.hits;
      const std::uint64_t address = each.pc - member.who.bias - kCallBytes;
      const auto& probes = calls.plan->probes;
      const auto probe = std::ranges::lower_bound(probes, address, {}, &attach::ProbeSpec::address);
      const auto index = static_cast<std::uint32_t>(probe - probes.begin());
      const auto site = std::ranges::lower_bound(calls.probes, index);
      if (probe != probes.end() && probe->address == address && site != calls.probes.end() && *site == index) {
        callers.push_back({static_cast<govern::SiteId>(site - calls.probes.begin()), each.site, each.hits});
      }
    }
  }
  std::map<govern::SiteId, double> rates;
  for (const Caller& caller : callers) {
    const std::uint32_t index = caller.function - group.sites.first;
    const auto function = std::ranges::lower_bound(group.sites.probes, index);
    if (function == group.sites.probes.end() || *function != index) {
      continue;  // counted by a planner before
    }
    const auto id = static_cast<govern::SiteId>(function - group.sites.probes.begin());
    const double part = static_cast<double>(caller.hits) / static_cast<double>(of_function[caller.function]);
    rates[caller.site] += part * group.sites.planner->site(id).hits_per_cpu_s;
  }
  std::vector<govern::SiteHits> hits;
  for (const auto& [site, rate] : rates) {
    hits.push_back({site, govern::whole_ns(rate), 0});
  }
  return hits;
}

Result<void> Governor::join(const Armed& armed, Joining joining) {
  const std::uint32_t tgid = joining.tgid;
  const auto group = groups_.find(armed.group_);
  if (group == groups_.end()) {
    return fail(ErrorKind::kGone, fmt::format("the probes of process {} were taken out", tgid));
  }
  const mw_target_counts counts = TRY(kernel_.target_counters(tgid));
  const std::uint64_t now = clock_.monotonic_ns();
  members_[tgid] = armed.group_;
  if (group->second.coming.valid()) {
    TRY(kernel_.set_flag(tgid, MW_POLICY_LEARN, true));
  }
  group->second.members.insert_or_assign(tgid, Member{std::move(joining), now, cpu_ns(tgid), true, counts, {}, false});
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
