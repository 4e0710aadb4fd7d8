// Goroutines that stand at the same place, together.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "dossier/traceback.h"

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

std::string heading(const std::vector<const Goroutine*>& members, int go_minor) {
  const Goroutine& one = *members.front();
  std::string ids;
  for (std::size_t i = 0; i < std::min(members.size(), kShownIds); ++i) {
    ids += fmt::format("{}{}", i == 0 ? "" : ", ", members[i]->id);
  }
  return fmt::format("{} goroutine{} in {}{}{}: {}{}\n", members.size(), members.size() == 1 ? "" : "s",
                     forensics::status_text(one, go_minor), waited(members),
                     one.locked_to_thread ? ", locked to thread" : "", ids, members.size() > kShownIds ? ", ..." : "");
}

}  // namespace

void write_groups(const forensics::Goroutines& goroutines, FrameNames& names, const TracebackStyle& style,
                  std::size_t limit, const TextSink& sink) {
  std::map<std::vector<std::uint64_t>, std::vector<const Goroutine*>> groups;
  for (const Goroutine& goroutine : goroutines.list) {
    if (style.system || !names.system_goroutine(goroutine)) {
      groups[key_of(goroutine)].push_back(&goroutine);
    }
  }
  std::vector<std::vector<const Goroutine*>*> order;
  for (auto& [key, members] : groups) {
    std::ranges::sort(members, {}, &Goroutine::id);
    order.push_back(&members);
  }
  std::ranges::sort(order, [&](const auto* a, const auto* b) {
    const bool a_first = std::ranges::find(*a, style.first, &Goroutine::id) != a->end();
    const bool b_first = std::ranges::find(*b, style.first, &Goroutine::id) != b->end();
    if (style.first != 0 && a_first != b_first) {
      return a_first;
    }
    return a->size() != b->size() ? a->size() > b->size() : a->front()->id < b->front()->id;
  });
  std::size_t written = 0;
  for (const auto* members : order) {
    if (limit != 0 && written == limit) {
      sink(fmt::format("... and {} more groups\n", order.size() - written));
      return;
    }
    const Goroutine& one = *members->front();
    const bool same_parent =
        std::ranges::all_of(*members, [&](const Goroutine* other) { return other->parent_id == one.parent_id; });
    sink(heading(*members, names.go_minor()) + stack_text(one, names, style, same_parent) + "\n");
    ++written;
  }
}

}  // namespace mapwatch::dossier
