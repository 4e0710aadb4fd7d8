#include "forensics/maps_in_use.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "forensics/call_arguments.h"
#include "forensics/goroutine_decode.h"
#include "forensics/key_hasher.h"

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kMostLookedAt = 10'000;
// Frames from the innermost to the map function: preemption, the collector, a key's hash or comparison.
constexpr std::size_t kMostFrames = 64;

struct Use {
  MapArguments arguments;
  mw_op op = MW_OP_NONE;
};

/// The operation that the innermost frames belong to. Several frames are one (mapdelete calls (*Map).Delete, a clone
/// iterates): the outermost counts, and each may tell the map's type.
std::optional<Use> use_of(const CallStack& stack, CallArguments& arguments, const GoProcess& process) {
  std::optional<Use> found;
  for (std::size_t i = 0; i < std::min(stack.frames.size(), kMostFrames); ++i) {
    const auto function = process.binary->at(stack.frames[i].entry - process.bias);
    if (!function || !runs_map_code(function->name)) {
      break;
    }
    const auto candidate = arguments.map_function(stack.frames[i]);
    if (!candidate) {
      continue;
    }
    Use use{arguments.map_arguments(stack, i, candidate->arg), candidate->op};
    if (use.arguments.map == 0) {
      continue;
    }
    if (found && found->arguments.map == use.arguments.map && use.arguments.type == 0) {
      use.arguments.type = found->arguments.type;
    }
    found = use;
  }
  return found;
}

bool may_be_inside(const Goroutine& goroutine, int go_minor) {
  const bool waits = goroutine.status == GStatus::kWaiting || goroutine.status == GStatus::kLeaked;
  return !waits || status_text(goroutine, go_minor).starts_with("GC ");
}

}  // namespace

MapsInUse find_maps_in_use(const GoroutineCopy& copy, const GoProcess& process, const Memory& memory,
                           const Clock& clock, std::uint64_t deadline_ns) {
  MapsInUse found;
  std::size_t looked_at = 0;
  std::size_t passed_over = 0;
  const Goroutines busy = decode_goroutines(copy, process, [&](const Goroutine& goroutine) {
    if (!may_be_inside(goroutine, process.binary->version().minor)) {
      return false;
    }
    const bool wanted =
        (goroutine.status == GStatus::kRunning || looked_at < kMostLookedAt) && clock.monotonic_ns() < deadline_ns;
    ++(wanted ? looked_at : passed_over);
    return wanted;
  });
  CallArguments arguments(process);
  std::unordered_map<std::uint64_t, std::size_t> known;  // address of a map -> its place in the list
  for (const Goroutine& goroutine : busy.list) {
    if (clock.monotonic_ns() >= deadline_ns) {
      ++passed_over;
      continue;
    }
    const CallStack stack{goroutine.frames, [&](std::uint64_t address) { return memory.word(address); },
                          standing_registers(copy, goroutine)};
    const auto use = use_of(stack, arguments, process);
    if (!use) {
      continue;
    }
    const auto [at, fresh] = known.emplace(use->arguments.map, found.list.size());
    if (fresh) {
      found.list.push_back({});
      found.list.back().map = use->arguments.map;
    }
    MapInUse& map = found.list[at->second];
    map.type = map.type == 0 ? use->arguments.type : map.type;
    map.users.push_back({goroutine.id, use->op});
  }
  if (passed_over != 0) {
    found.notes.push_back(fmt::format("maps in use: {} goroutines were not looked at", passed_over));
  }
  if (found.list.size() > kMostMapsInUse) {
    found.notes.push_back(fmt::format("maps in use: {} more than the {} that are shown",
                                      found.list.size() - kMostMapsInUse, kMostMapsInUse));
    found.list.resize(kMostMapsInUse);
  }
  return found;
}

void read_maps_in_use(MapsInUse& maps, const Memory& memory, const GoProcess& process, const MapRequest& like,
                      const Clock& clock) {
  if (maps.list.empty()) {
    return;
  }
  const std::uint64_t begin = clock.monotonic_ns();
  TypeReader types(memory, type_space(*process.binary, process.bias));
  const HashSource hashes = read_hash_source(*process.binary, process.bias, memory);
  for (MapInUse& map : maps.list) {
    const std::uint64_t spent = clock.monotonic_ns() - begin;
    if (map.type == 0) {
      map.unread = "no frame proves its type";
    } else if (spent >= like.limits.time_ns) {
      map.unread = "the time for it was over";
    } else {
      MapRequest request = like;
      request.type = map.type;
      request.map = map.map;
      request.limits.time_ns -= spent;
      auto picture = read_map(types, hashes, request, clock);
      if (picture) {
        map.picture = std::move(*picture);
      } else {
        map.unread = picture.error().message;
      }
    }
  }
}

}  // namespace mapwatch::forensics
