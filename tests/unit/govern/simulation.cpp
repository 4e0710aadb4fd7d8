#include "govern/simulation.h"

#include <algorithm>
#include <cmath>

namespace mapwatch::govern::sim {

namespace {

/// What has a rate keeps it for so long at most.
constexpr std::uint64_t kLongestStepNs = 5 * kMs;

std::uint64_t draw(std::mt19937_64& random, double mean) {
  if (mean <= 0) {
    return 0;
  }
  if (mean > 1e4) {
    return static_cast<std::uint64_t>(
        std::max(0.0, std::round(std::normal_distribution<>(mean, std::sqrt(mean))(random))));
  }
  return static_cast<std::uint64_t>(std::poisson_distribution<long>(mean)(random));
}

}  // namespace

double Watched::mean_wait_ns(std::uint64_t since_ns, std::uint64_t until_ns) const {
  double squares = 0;
  std::uint64_t last = since_ns;
  const auto gap = [&squares, &last](std::uint64_t time_ns) {
    squares += static_cast<double>(time_ns - last) * static_cast<double>(time_ns - last);
    last = time_ns;
  };
  for (const std::uint64_t time_ns : seen_ns) {
    if (time_ns > since_ns && time_ns <= until_ns) {
      gap(time_ns);
    }
  }
  gap(until_ns);
  return squares / 2 / static_cast<double>(until_ns - since_ns);
}

Load in_turn(std::vector<Phase> phases, std::uint64_t length_ns) {
  Load load;
  const std::size_t count = phases.size();
  for (const Phase& phase : phases) {
    load.before_cpus += phase.cpus / static_cast<double>(count);
  }
  load.phases = std::move(phases);
  load.at = [count, length_ns](std::uint64_t time_ns) {
    const std::uint64_t turn = time_ns / length_ns;
    return Load::Now{turn % count, (turn + 1) * length_ns};
  };
  return load;
}

Simulation::Simulation(const Settings& settings, std::vector<mw_site_class> classes, std::vector<Load> loads, Host host)
    : settings_(settings),
      host_(host),
      classes_(std::move(classes)),
      planner_(settings, classes_),
      random_(settings.seed + 1),
      sites_(classes_.size()),
      detachers_free_ns_(host.detachers) {
  for (Load& load : loads) {
    Process process;
    process.id = static_cast<MemberId>(1000 + processes_.size());
    process.load = std::move(load);
    processes_.push_back(std::move(process));
  }
}

void Simulation::wake(std::uint64_t time_ns) {
  std::uint64_t late = static_cast<std::uint64_t>(chance() * static_cast<double>(host_.wake_ns));
  if (chance() < host_.late_share) {
    late += static_cast<std::uint64_t>(chance() * static_cast<double>(host_.late_ns));
  }
  next_tick_ns_ = std::min(next_tick_ns_, std::max(time_ns, now_ns_) + late);
}

void Simulation::spread(Process& process, std::uint64_t from_ns, std::uint64_t to_ns, double cost_ns, double cpu_ns) {
  const std::size_t last = to_ns / kMs;
  if (process.cost_by_ms.size() <= last) {
    process.cost_by_ms.resize(last + 1024);
    process.cpu_by_ms.resize(last + 1024);
  }
  const double span = static_cast<double>(std::max<std::uint64_t>(1, to_ns - from_ns));
  for (std::size_t ms = from_ns / kMs; ms <= last; ++ms) {
    const std::uint64_t begin = std::max(from_ns, ms * kMs);
    const std::uint64_t end = std::max(begin, std::min(to_ns, (ms + 1) * kMs));
    const double part = to_ns > from_ns ? static_cast<double>(end - begin) / span : (ms == last ? 1 : 0);
    process.cost_by_ms[ms] += static_cast<float>(cost_ns * part);
    process.cpu_by_ms[ms] += static_cast<float>(cpu_ns * part);
  }
}

void Simulation::charge_switch(const SwitchCost& cost, std::size_t sites) {
  const double ns = CostModel::switch_ns(cost, sites);
  for (Process& process : processes_) {
    if (process.alive) {
      const Phase& phase = process.load.phases[process.phase.phase];
      const double cpus = std::min(phase.most_cpus, phase.cpus + process.armed_cost);
      spread(process, now_ns_, now_ns_, ns * cpus, 0);
    }
  }
}

void Simulation::reckon(Process& process) {
  process.armed_cost = 0;
  process.armed_rate = 0;
  if (!process.alive) {
    return;
  }
  for (const Rate& rate : process.load.phases[process.phase.phase].rates) {
    if (sites_[rate.site].links > 0) {
      process.armed_rate += rate.per_s;
      process.armed_cost += rate.per_s * settings_.costs.ns_per_hit[classes_[rate.site]] / 1e9;
    }
  }
}

void Simulation::set_armed(LinkNow& link, bool armed) {
  if (link.armed == armed) {
    return;
  }
  link.armed = armed;
  for (const SiteId id : link.sites) {
    SiteNow& site = sites_[id];
    if (armed && site.links++ == 0) {
      site.since_ns = now_ns_;
    } else if (!armed && --site.links == 0) {
      site.armed_ns += now_ns_ - std::max(site.since_ns, shares_since_ns_);
    }
  }
  for (Process& process : processes_) {
    reckon(process);
  }
}

// Everything that runs, up to `time_ns` or the next tick, which a process that uses up its hits brings forward.
void Simulation::advance(std::uint64_t time_ns) {
  while (now_ns_ < time_ns && now_ns_ < next_tick_ns_) {
    std::uint64_t to = std::min(time_ns, now_ns_ + kLongestStepNs);
    for (Process& process : processes_) {
      const bool alive = now_ns_ >= process.load.begins_ns && now_ns_ < process.load.ends_ns;
      if (alive || now_ns_ < process.load.begins_ns) {
        to = std::min(to, alive ? process.load.ends_ns : process.load.begins_ns);
      }
      if (alive && (!process.alive || process.phase.until_ns <= now_ns_)) {
        if (!process.alive) {
          process.alive = true;
          wake(now_ns_);
        }
        process.phase = process.load.at(now_ns_);
        reckon(process);
      }
      if (!alive && process.alive) {
        process.alive = false;
        wake(now_ns_);
      }
      to = process.alive ? std::min(to, process.phase.until_ns) : to;
    }
    to = std::min(to, next_tick_ns_);
    if (to <= now_ns_) {
      break;
    }
    for (Process& process : processes_) {
      const double seconds = static_cast<double>(to - now_ns_) / 1e9;
      const Phase& phase = process.load.phases[process.phase.phase];
      const double need = phase.cpus + process.armed_cost;
      const double pace = need > phase.most_cpus ? phase.most_cpus / need : 1;
      if (process.alive && !process.tripped && process.armed_rate > 0) {
        const double left = std::max(0.0, process.limit - process.since_limit);
        if (process.armed_rate * pace * seconds > left) {
          to = std::min(to, now_ns_ + 1 + static_cast<std::uint64_t>(left / (process.armed_rate * pace) * 1e9));
        }
      }
    }
    const double seconds = static_cast<double>(to - now_ns_) / 1e9;
    for (Process& process : processes_) {
      if (!process.alive) {
        continue;
      }
      const Phase& phase = process.load.phases[process.phase.phase];
      const double need = phase.cpus + process.armed_cost;
      const double pace = need > phase.most_cpus ? phase.most_cpus / need : 1;
      const double hits = process.armed_rate * pace * seconds;
      process.hits += hits;
      process.since_limit += hits;
      process.tokens = std::min(process.tokens + process.dwell_share * seconds * 1e9, process.dwell_burst);
      const double held = hits > 0 ? phase.dwells * std::min(process.tokens, phase.most_cpus * seconds * 1e9) : 0;
      process.tokens -= held;
      const double cpu = need * pace * seconds * 1e9 + held;
      process.cpu_ns += cpu;
      process.held_ns += held;
      spread(process, now_ns_, to, process.armed_cost * pace * seconds * 1e9 + held, cpu);
      if (process.armed_rate > 0 && !process.tripped) {
        for (const Rate& rate : phase.rates) {
          SiteNow& site = sites_[rate.site];
          if (site.links > 0) {
            site.mean += rate.per_s * pace * seconds;
            site.candidates += rate.per_s * pace * seconds * rate.candidates;
          }
        }
      }
      if (!process.tripped && process.since_limit >= process.limit) {
        process.tripped = true;
        wake(to);
      }
    }
    for (Watched& each : races_) {
      if (sites_[each.race.one].links > 0 && sites_[each.race.other].links > 0) {
        if (chance() < -std::expm1(-each.race.meetings_per_s * seconds)) {
          each.seen_ns.push_back(to);
        }
      }
    }
    now_ns_ = to;
  }
}

void Simulation::tick() {
  ++ticks_;
  std::vector<SiteHits> hits;
  for (SiteId id = 0; id < sites_.size(); ++id) {
    SiteNow& site = sites_[id];
    if (site.mean > 0) {
      const std::uint64_t count = draw(random_, site.mean);
      if (count > 0) {
        const auto candidates = static_cast<std::uint64_t>(static_cast<double>(count) * site.candidates / site.mean);
        hits.push_back({id, count, candidates});
      }
      site.mean = 0;
      site.candidates = 0;
    }
  }
  std::vector<MemberSample> members;
  for (Process& process : processes_) {
    if (!process.alive) {
      continue;
    }
    MemberSample member;
    member.member = process.id;
    member.cpu_ns = static_cast<std::uint64_t>(process.cpu_ns);
    if (!process.sampled) {
      member.cpu_over_ns = process.load.before_ns;
      member.cpu_ns =
          static_cast<std::uint64_t>(process.load.before_cpus * static_cast<double>(process.load.before_ns));
      process.sampled = true;
    }
    member.hits = static_cast<std::uint64_t>(process.hits);
    member.cpus = static_cast<std::uint32_t>(std::ceil(process.load.phases[process.phase.phase].most_cpus));
    member.tripped = process.tripped;
    member.epoch = process.epoch;
    member.held_ns = static_cast<std::uint64_t>(process.held_ns);
    process.cpu_ns = 0;
    process.held_ns = 0;
    process.hits = 0;
    members.push_back(member);
  }
  Sample sample;
  sample.now_ns = static_cast<std::uint64_t>(static_cast<std::int64_t>(now_ns_) + skew_ns_);
  std::vector<LinkDone> done = std::move(done_);
  done_.clear();
  for (LinkDone& each : done) {
    each.began_ns += static_cast<std::uint64_t>(skew_ns_);
    each.ended_ns += static_cast<std::uint64_t>(skew_ns_);
  }
  sample.hits = hits;
  sample.signals = signals_;
  sample.members = members;
  sample.done = done;
  const Plan plan = planner_.tick(sample);
  signals_.clear();
  for (const MemberLimits& limits : plan.limits) {
    for (Process& process : processes_) {
      if (process.id == limits.member) {
        process.limit = limits.hits == UINT64_MAX ? 1e300 : static_cast<double>(limits.hits);
        process.since_limit = 0;
        process.dwell_share = limits.dwell_share_ppm / 1e6;
        process.tokens = process.dwell_burst < 0 ? static_cast<double>(limits.dwell_burst_ns) : process.tokens;
        process.dwell_burst = static_cast<double>(limits.dwell_burst_ns);
        process.tripped = false;
        process.epoch = limits.epoch;
      }
    }
  }
  for (const Action& action : plan.actions) {
    perform(action);
  }
  next_tick_ns_ = UINT64_MAX;
  wake(static_cast<std::uint64_t>(static_cast<std::int64_t>(plan.next_ns) - skew_ns_));
}

void Simulation::begin_detach(LinkId id, std::uint64_t time_ns) {
  LinkNow& link = links_.at(id);
  if (link.going) {
    return;
  }
  link.going = true;
  std::uint64_t& free_ns = *std::min_element(detachers_free_ns_.begin(), detachers_free_ns_.end());
  const std::uint64_t begin = std::max(free_ns, time_ns + 100'000);
  const std::uint64_t restored = begin + up_to_twice(host_.restore_call_ns) + link.sites.size() * host_.restore_site_ns;
  free_ns = restored + up_to_twice(host_.detach_call_ns);
  post(restored, {Kind::kRestored, id, begin});
  post(free_ns, {Kind::kDetached, id, begin});
}

void Simulation::perform(const Action& action) {
  switch (action.kind) {
    case ActionKind::kAttach: {
      LinkNow& link = links_[action.link];
      link.sites = action.sites;
      link.for_ns = action.for_ns;
      link.failed = refuse_ > 0 && refuse_-- > 0;
      const std::uint64_t begin = std::max(now_ns_ + 100'000, attacher_free_ns_);
      attacher_free_ns_ = begin + up_to_twice(host_.attach_call_ns) + action.sites.size() * host_.attach_site_ns;
      post(attacher_free_ns_, {Kind::kArmed, action.link, begin});
      break;
    }
    case ActionKind::kKeep:
      links_.at(action.link).for_ns = action.for_ns;
      break;
    case ActionKind::kDetach:
      if (links_.contains(action.link)) {
        begin_detach(action.link, now_ns_);
      }
      break;
  }
}

void Simulation::run_until(std::uint64_t time_ns) {
  while (now_ns_ < time_ns) {
    std::uint64_t next = std::min(time_ns, next_tick_ns_);
    if (!events_.empty()) {
      next = std::min(next, events_.begin()->first);
    }
    advance(std::max(next, now_ns_));
    if (now_ns_ >= next_tick_ns_) {
      tick();
      continue;
    }
    if (events_.empty() || events_.begin()->first > now_ns_) {
      continue;
    }
    const Event event = events_.begin()->second;
    events_.erase(events_.begin());
    if (!links_.contains(event.link)) {
      continue;
    }
    LinkNow& link = links_.at(event.link);
    switch (event.kind) {
      case Kind::kArmed:
        if (link.going || link.failed) {
          done_.push_back({event.link, false, link.failed, event.began_ns, now_ns_});
          links_.erase(event.link);
        } else {
          charge_switch(settings_.costs.attach, link.sites.size());
          set_armed(link, true);
          done_.push_back({event.link, true, false, event.began_ns, now_ns_});
          if (link.for_ns != kForEver) {
            post(now_ns_ + link.for_ns, {Kind::kExpired, event.link, now_ns_});
          }
        }
        wake(now_ns_);
        break;
      case Kind::kExpired:
        if (link.for_ns != kForEver) {
          begin_detach(event.link, now_ns_);
        }
        break;
      case Kind::kRestored:
        charge_switch(settings_.costs.detach, link.sites.size());
        set_armed(link, false);
        break;
      case Kind::kDetached:
        done_.push_back({event.link, false, false, event.began_ns, now_ns_});
        links_.erase(event.link);
        wake(now_ns_);
        break;
      case Kind::kTick:
        break;
    }
  }
}

double Simulation::armed_share(SiteId id) const {
  const SiteNow& site = sites_[id];
  std::uint64_t armed = site.armed_ns;
  if (site.links > 0) {
    armed += now_ns_ - std::max(site.since_ns, shares_since_ns_);
  }
  return static_cast<double>(armed) / static_cast<double>(std::max<std::uint64_t>(1, now_ns_ - shares_since_ns_));
}

void Simulation::reset_shares() {
  shares_since_ns_ = now_ns_;
  for (SiteNow& site : sites_) {
    site.armed_ns = 0;
  }
}

Worst Simulation::worst(std::size_t index, double apart_ns) const {
  const Process& process = processes_[index];
  const std::size_t end = std::min<std::size_t>(now_ns_ / kMs, process.cost_by_ms.size());
  std::vector<double> cost(end + 1);
  std::vector<double> cpu(end + 1);
  for (std::size_t i = 0; i < end; ++i) {
    cost[i + 1] = cost[i] + static_cast<double>(process.cost_by_ms[i]);
    cpu[i + 1] = cpu[i] + static_cast<double>(process.cpu_by_ms[i]);
  }
  const double budget = settings_.budget_ppm / 1e6;
  const double floor = settings_.floor_ppm / 1e6 * 1e9;
  Worst out;
  for (std::size_t i = 0; i + 1000 <= end; ++i) {
    const double part =
        (cost[i + 1000] - cost[i] - apart_ns) / (5 * std::max(budget * (cpu[i + 1000] - cpu[i]), floor));
    if (part > out.second) {
      out.second = part;
      out.second_ns = i * kMs;
    }
  }
  for (std::size_t i = 0; i + 10'000 <= end; ++i) {
    const double part =
        (cost[i + 10'000] - cost[i] - apart_ns) / std::max(budget * (cpu[i + 10'000] - cpu[i]), 10 * floor);
    if (part > out.ten_seconds) {
      out.ten_seconds = part;
      out.ten_seconds_ns = i * kMs;
    }
  }
  return out;
}

double Simulation::cost_ns(std::size_t index) const {
  double sum = 0;
  for (const float each : processes_[index].cost_by_ms) {
    sum += static_cast<double>(each);
  }
  return sum;
}

double Simulation::cpu_ns(std::size_t index) const {
  double sum = 0;
  for (const float each : processes_[index].cpu_by_ms) {
    sum += static_cast<double>(each);
  }
  return sum;
}

}  // namespace mapwatch::govern::sim
