#include "dossier/goroutine_groups.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;

constexpr std::size_t kShownIds = 10;

/// What makes two goroutines one of a kind: state, every pc, and the go statement.
std::vector<std::uint64_t> key_of(const Goroutine& goroutine) {
  std::vector<std::uint64_t> key = {static_cast<std::uint64_t>(goroutine.status), goroutine.wait_reason,
                                    goroutine.locked_to_thread, static_cast<std::uint64_t>(goroutine.doubt),
                                    goroutine.go_pc};
  key.reserve(key.size() + goroutine.frames.size());
  for (const forensics::Frame& frame : goroutine.frames) {
    key.push_back(frame.pc);
  }
  return key;
}

std::string waited(const std::vector<const Goroutine*>& members) {
  const auto minutes = [](const Goroutine* goroutine) { return goroutine->waiting_ns / 60'000'000'000U; };
  const auto [least, most] = std::ranges::minmax(members, {}, minutes);
  if (minutes(most) == 0) {
    return "";
  }
  return minutes(least) == minutes(most) ? fmt::format(", {} minutes", minutes(most))
                                         : fmt::format(", {} to {} minutes", minutes(least), minutes(most));
}

std::string first_ids(const GoroutineGroup& group) {
  std::string ids;
  for (std::size_t i = 0; i < std::min(group.members.size(), kShownIds); ++i) {
    ids += fmt::format("{}{}", i == 0 ? "" : ", ", group.members[i]->id);
  }
  return group.members.size() > kShownIds ? ids + ", ..." : ids;
}

}  // namespace

bool GoroutineGroup::has(std::uint64_t id) const { return std::ranges::binary_search(members, id, {}, &Goroutine::id); }

std::vector<GoroutineGroup> group_goroutines(const forensics::Goroutines& goroutines, FrameNames& names,
                                             const TracebackStyle& style) {
  std::map<std::vector<std::uint64_t>, GoroutineGroup> by_key;
  for (const Goroutine& goroutine : goroutines.list) {
    if (style.system || !names.system_goroutine(goroutine)) {
      by_key[key_of(goroutine)].members.push_back(&goroutine);
    }
  }
  std::vector<GoroutineGroup> groups;
  groups.reserve(by_key.size());
  for (auto& [key, group] : by_key) {
    std::ranges::sort(group.members, {}, &Goroutine::id);
    groups.push_back(std::move(group));
  }
  std::ranges::sort(groups, [&](const GoroutineGroup& a, const GoroutineGroup& b) {
    if (style.first != 0 && a.has(style.first) != b.has(style.first)) {
      return a.has(style.first);
    }
    return a.members.size() != b.members.size() ? a.members.size() > b.members.size() : a.one().id < b.one().id;
  });
  return groups;
}

std::string group_heading(const GoroutineGroup& group, int go_minor) {
  const Goroutine& one = group.one();
  return fmt::format("{} goroutine{} in {}{}{}", group.members.size(), group.members.size() == 1 ? "" : "s",
                     forensics::status_text(one, go_minor), waited(group.members),
                     one.locked_to_thread ? ", locked to thread" : "");
}

std::string group_stack(const GoroutineGroup& group, FrameNames& names, const TracebackStyle& style) {
  const bool same_parent = std::ranges::all_of(
      group.members, [&](const Goroutine* other) { return other->parent_id == group.one().parent_id; });
  return stack_text(group.one(), names, style, same_parent);
}

void write_groups(const std::vector<GoroutineGroup>& groups, FrameNames& names, const TracebackStyle& style,
                  std::size_t limit, const TextSink& sink) {
  std::size_t written = 0;
  for (const GoroutineGroup& group : groups) {
    if (limit != 0 && written == limit) {
      sink(fmt::format("... and {} more groups\n", groups.size() - written));
      return;
    }
    sink(fmt::format("{}: {}\n{}\n", group_heading(group, names.go_minor()), first_ids(group),
                     group_stack(group, names, style)));
    ++written;
  }
}

}  // namespace mapwatch::dossier
