#include "alert/groups.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace mapwatch::alert {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr double kMinuteNs = 60e9;

}  // namespace

Groups::Groups(Timing timing) : timing_(timing), tokens_(timing.per_minute) {}

bool Groups::Group::seen_since() const {
  return std::ranges::any_of(entries, [](const auto& each) { return each.second.seen_ns > each.second.told_ns; });
}

Groups::Entry* Groups::find_entry(const std::string& fingerprint) {
  const auto key = group_keys_.find(fingerprint);
  return key == group_keys_.end() ? nullptr : &groups_.at(key->second).entries.at(fingerprint);
}

Groups::Entry& Groups::insert(Labels labels, const std::string& fingerprint) {
  const Labels of = group_of(labels);
  const std::string key = group_key(of);
  group_keys_[fingerprint] = key;
  Group& group = groups_[key];
  group.labels = of;
  Entry& entry = group.entries[fingerprint];
  entry.alert.labels = std::move(labels);
  return entry;
}

bool Groups::add(const Sighting& sighting, Moment now) {
  const std::string of = fingerprint(sighting.labels);
  Entry* entry = find_entry(of);
  if (entry == nullptr) {
    if (open() >= kMostOpen) {
      return false;
    }
    entry = &insert(sighting.labels, of);
    entry->alert.starts_ns = sighting.time_ns;
    Group& group = groups_.at(group_keys_.at(of));
    group.news_ns = group.news_ns.value_or(now.ns);
  }
  entry->alert.annotations = sighting.annotations;
  entry->alert.ends_ns = 0;
  entry->seen_ns = now.ns;
  changed_.insert(of);
  return true;
}

void Groups::touch(const std::string& fingerprint, Moment now) {
  if (Entry* entry = find_entry(fingerprint); entry != nullptr) {
    entry->seen_ns = now.ns;
    if (std::exchange(entry->alert.ends_ns, 0) != 0) {
      changed_.insert(fingerprint);
    }
  }
}

void Groups::restore(Kept kept, Moment now) {
  const std::string of = fingerprint(kept.alert.labels);
  if (find_entry(of) != nullptr || open() >= kMostOpen) {
    return;
  }
  Entry& entry = insert(kept.alert.labels, of);
  entry.alert = std::move(kept.alert);
  entry.told = kept.told;
  entry.seen_ns = entry.told_ns = now.ns;
  Group& group = groups_.at(group_keys_.at(of));
  group.repeat_from_ns = group.repeat_from_ns.value_or(now.ns);
  if (entry.news()) {
    group.news_ns = group.news_ns.value_or(now.ns);
  }
}

void Groups::resolve(Group& group, Moment now) {
  for (auto each = group.entries.begin(); each != group.entries.end();) {
    const auto& [of, entry] = *each;
    // What nobody was told of is told first.
    if (!entry.told || entry.alert.ends_ns != 0 || now.ns - entry.seen_ns < timing_.resolve_ns) {
      ++each;
      continue;
    }
    changed_.insert(of);
    if (!timing_.tell_resolved) {
      group_keys_.erase(of);
      each = group.entries.erase(each);
      continue;
    }
    each->second.alert.ends_ns = std::max(now.wall_ns, entry.alert.starts_ns);  // the clock may have been set back
    group.news_ns = group.news_ns.value_or(now.ns);
    ++each;
  }
}

std::uint64_t Groups::due_ns(const Group& group) const {
  const std::uint64_t free_ns = group.told_ns ? *group.told_ns + timing_.interval_ns : 0;
  if (group.news_ns) {
    return std::max(*group.news_ns + timing_.wait_ns, free_ns);
  }
  return group.repeat_from_ns && group.seen_since() ? std::max(*group.repeat_from_ns + timing_.repeat_ns, free_ns)
                                                    : kNever;
}

News Groups::take_news(Group& group, Moment now) {
  std::vector<std::string> order;
  for (const auto& [of, entry] : group.entries) {
    order.push_back(of);
  }
  // What was not told yet comes first, and so is in it however many there are.
  std::ranges::stable_sort(order, [&](const std::string& a, const std::string& b) {
    const Entry& one = group.entries.at(a);
    const Entry& two = group.entries.at(b);
    return one.news() != two.news() ? one.news() : one.alert.starts_ns < two.alert.starts_ns;
  });
  News news;
  news.group = group.labels;
  news.truncated = order.size() - std::min(order.size(), kMostTold);
  order.resize(std::min(order.size(), kMostTold));
  for (const std::string& of : order) {
    Entry& entry = group.entries.at(of);
    news.alerts.push_back(entry.alert);
    if (entry.news()) {
      changed_.insert(of);
    }
    if (entry.alert.ends_ns != 0) {
      group.entries.erase(of);
      group_keys_.erase(of);
      continue;
    }
    entry.told = true;
    entry.told_ns = now.ns;
  }
  const bool more = std::ranges::any_of(group.entries, [](const auto& each) { return each.second.news(); });
  group.news_ns = more ? std::optional(now.ns) : std::nullopt;
  group.told_ns = group.repeat_from_ns = now.ns;
  return news;
}

void Groups::refill(std::uint64_t now_ns) {
  tokens_ = std::min<double>(timing_.per_minute,
                             tokens_ + static_cast<double>(now_ns - filled_ns_) * timing_.per_minute / kMinuteNs);
  filled_ns_ = now_ns;
}

std::vector<News> Groups::due(Moment now, bool all) {
  refill(now.ns);
  std::vector<News> out;
  for (auto& [key, group] : groups_) {
    resolve(group, now);
    const bool news = std::ranges::any_of(group.entries, [](const auto& each) { return each.second.news(); });
    if (!news) {
      group.news_ns.reset();  // what was over is seen again
    }
    while (all ? group.news_ns.has_value() : due_ns(group) <= now.ns && tokens_ >= 1) {
      tokens_ -= all ? 0 : 1;
      out.push_back(take_news(group, now));
    }
  }
  std::erase_if(groups_, [&](const auto& each) {
    const Group& group = each.second;
    return group.entries.empty() && (!group.told_ns || now.ns >= *group.told_ns + timing_.interval_ns);
  });
  return out;
}

std::uint64_t Groups::next_ns(std::uint64_t now_ns) const {
  std::uint64_t next = kNever;
  for (const auto& [key, group] : groups_) {
    std::uint64_t due = due_ns(group);
    if (due != kNever && tokens_ < 1) {
      const double short_of = (1 - tokens_) * kMinuteNs / timing_.per_minute;
      due = std::max(due, filled_ns_ + static_cast<std::uint64_t>(std::ceil(short_of)));
    }
    next = std::min(next, due);
    for (const auto& [of, entry] : group.entries) {
      if (entry.told && entry.alert.ends_ns == 0) {
        next = std::min(next, entry.seen_ns + timing_.resolve_ns);
      }
    }
  }
  return next == kNever ? kNever : std::max(next, now_ns);
}

std::set<std::string> Groups::take_changed() { return std::exchange(changed_, {}); }

std::optional<Groups::Kept> Groups::find(const std::string& fingerprint) const {
  const auto key = group_keys_.find(fingerprint);
  if (key == group_keys_.end()) {
    return std::nullopt;
  }
  const Entry& entry = groups_.at(key->second).entries.at(fingerprint);
  return Kept{entry.alert, entry.told};
}

}  // namespace mapwatch::alert
