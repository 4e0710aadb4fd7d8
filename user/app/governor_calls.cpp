// From function probes to call sites: when, for which processes, and what is known of the sites by then.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "app/governor.h"
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

}  // namespace

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
  log::debug("call sites of {}, {}, are looked for", log::printable(next->binary->main_path()), next->binary->go());
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
    tell_unless_gone(kernel_.set_flag(tgid, MW_POLICY_LEARN, false));
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
  govern::Settings settings = group.settings;
  settings.seed += links;
  auto sites = sites_of(std::move(plan), *first, settings);
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
  const auto counted = kernel_.callers();
  if (!counted) {
    log::print_error(counted.error());
    return {};
  }
  std::vector<Caller> callers;
  std::map<std::uint32_t, std::uint64_t> of_function;
  for (const mw_caller_count& each : *counted) {
    const auto member = group.members.find(each.tgid);
    if (member == group.members.end()) {
      continue;
    }
    of_function[each.site] += each.hits;
    const std::uint64_t address = each.pc - member->second.who.bias - kCallBytes;
    const auto& probes = calls.plan->probes;
    const auto probe = std::ranges::lower_bound(probes, address, {}, &attach::ProbeSpec::address);
    const auto index = static_cast<std::uint32_t>(probe - probes.begin());
    const auto site = std::ranges::lower_bound(calls.probes, index);
    if (probe != probes.end() && probe->address == address && site != calls.probes.end() && *site == index) {
      callers.push_back({static_cast<govern::SiteId>(site - calls.probes.begin()), each.site, each.hits});
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

}  // namespace mapwatch::app
