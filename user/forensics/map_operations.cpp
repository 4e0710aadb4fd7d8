#include "forensics/map_operations.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "forensics/call_arguments.h"

namespace mapwatch::forensics {
namespace {

// Frames from the innermost to the map function: preemption, the collector, a key's hash or comparison.
constexpr std::size_t kMostFrames = 64;

class Uses {
 public:
  Uses(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines, const GoProcess& process,
       const AccessTables& tables)
      : map_(map), copy_(copy), goroutines_(goroutines), process_(process), tables_(tables), arguments_(process) {}

  MapUse run() {
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      entries_.emplace(copy_.gs.addresses[i], i);
    }
    for (const mw_doing& doing : tables_.doings) {
      doings_.emplace(doing.g, &doing);
    }
    for (std::size_t i = 0; i < goroutines_.list.size(); ++i) {
      ids_.emplace(goroutines_.list[i].address, goroutines_.list[i].id);
      if (const auto operation = operation_of(i)) {
        inside_.insert(goroutines_.list[i].address);
        use_.inside.push_back(*operation);
      }
    }
    std::ranges::stable_sort(use_.inside, {}, [](const MapOperation& operation) {
      return std::tuple(operation.evidence == OperationEvidence::kSlot, !changes_map(operation.op));
    });
    use_.inside.resize(std::min(use_.inside.size(), kMostUses));
    add_accesses();
    return std::move(use_);
  }

 private:
  std::optional<MapOperation> operation_of(std::size_t index) {
    const Goroutine& goroutine = goroutines_.list[index];
    const auto entry = entries_.find(goroutine.address);
    if (entry == entries_.end()) {
      return std::nullopt;
    }
    const StackBytes& bytes = copy_.stacks[entry->second];
    const CallStack stack{goroutine.frames, [&](std::uint64_t address) { return bytes.word(address); },
                          standing_registers(copy_, goroutine)};
    std::optional<MapOperation> found;
    for (std::size_t i = 0; i < std::min(goroutine.frames.size(), kMostFrames); ++i) {
      const auto function = process_.binary->at(goroutine.frames[i].entry - process_.bias);
      if (!function || !runs_map_code(function->name)) {
        break;
      }
      const auto candidate = arguments_.map_function(goroutine.frames[i]);
      const auto evidence = candidate ? evidence_of(stack, i, *candidate, doing_of(goroutine)) : std::nullopt;
      // Several frames are one operation (mapdelete calls (*Map).Delete, a clone iterates): the surest of them counts,
      // and of those the outermost.
      if (evidence && (!found || *evidence <= found->evidence)) {
        found = MapOperation{index, i, candidate->op, *evidence, began(goroutine, i)};
      }
    }
    return found;
  }

  const mw_doing* doing_of(const Goroutine& goroutine) const {
    const auto found = doings_.find(goroutine.address);
    return found == doings_.end() ? nullptr : found->second;
  }

  static std::uint64_t time_of(const mw_doing& doing) {
    return MW_NOTE_HITS(doing.timed) == MW_NOTE_HITS(doing.note) ? doing.time_ns : 0;
  }

  /// When the operation of frames[i] began, which may be the frame of the probed function or of one that it calls.
  std::uint64_t began(const Goroutine& goroutine, std::size_t i) const {
    const mw_doing* doing = doing_of(goroutine);
    if (doing == nullptr || doing->map != map_) {
      return 0;
    }
    for (std::size_t k = i == 0 ? 0 : i - 1; k < std::min(i + 3, goroutine.frames.size()); ++k) {
      if (goroutine.frames[k].cfa != 0 && goroutine.frames[k].cfa - 8 == doing->sp) {
        return time_of(*doing);
      }
    }
    return 0;
  }

  std::optional<OperationEvidence> evidence_of(const CallStack& stack, std::size_t i, const arch::Candidate& candidate,
                                               const mw_doing* doing) {
    const Frame& frame = stack.frames[i];
    const MapArguments proven = arguments_.map_arguments(stack, i, candidate.arg);
    if (proven.map != 0) {
      return proven.map == map_ ? std::optional(OperationEvidence::kArguments) : std::nullopt;
    }
    if (frame.cfa == 0) {
      return std::nullopt;
    }
    if (doing != nullptr && doing->sp == frame.cfa - 8) {
      return doing->map == map_ ? std::optional(OperationEvidence::kProbe) : std::nullopt;
    }
    const std::uint64_t slot = candidate.arg == MW_ARG_FUNC ? 8 : candidate.arg == MW_ARG_ITER_INIT ? 16 : 0;
    const bool in_slot = candidate.arg != MW_ARG_ITER && stack.word(frame.cfa + slot) == map_;
    return in_slot ? std::optional(OperationEvidence::kSlot) : std::nullopt;
  }

  void add_accesses() {
    std::unordered_map<std::uint64_t, MapAccess> by_g;
    const auto of = [&](std::uint64_t g) -> MapAccess& {
      MapAccess& access = by_g[g];
      access.g = g;
      return access;
    };
    for (const mw_doing& doing : tables_.doings) {
      if (doing.map == map_) {
        MapAccess& access = of(doing.g);
        access.op = static_cast<mw_op>(MW_NOTE_OP(doing.note));
        access.began_ns = time_of(doing);
      }
    }
    if (tables_.slot && tables_.slot->last_map == map_) {
      const mw_slot& slot = *tables_.slot;
      const auto role = [&](std::uint64_t g, bool MapAccess::*member) {
        if (g != 0) {
          of(g).*member = true;
        }
      };
      role(MW_LAST_G(slot.last_g), &MapAccess::last);
      role(slot.lastw_g, &MapAccess::last_writer);
      role(slot.prevw_g, &MapAccess::previous_writer);
    }
    for (auto& [g, access] : by_g) {
      const auto id = ids_.find(g);
      access.goid = id == ids_.end() ? 0 : id->second;
      if (!inside_.contains(g)) {
        use_.accesses.push_back(access);
      }
    }
    // What has a time first, then what is known to be late; the rest in any fixed order.
    std::ranges::sort(use_.accesses, std::greater<>(), [](const MapAccess& access) {
      return std::tuple(access.began_ns, access.last, access.last_writer, access.previous_writer, access.g);
    });
    use_.accesses.resize(std::min(use_.accesses.size(), kMostUses));
  }

  std::uint64_t map_;
  const GoroutineCopy& copy_;
  const Goroutines& goroutines_;
  const GoProcess& process_;
  const AccessTables& tables_;
  CallArguments arguments_;
  MapUse use_;
  std::unordered_map<std::uint64_t, std::size_t> entries_;     ///< address of g -> entry of copy.gs
  std::unordered_map<std::uint64_t, const mw_doing*> doings_;  ///< by g
  std::unordered_map<std::uint64_t, std::uint64_t> ids_;       ///< goid by g
  std::unordered_set<std::uint64_t> inside_;                   ///< gs
};

}  // namespace

MapUse map_use(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines, const GoProcess& process,
               const AccessTables& tables) {
  return Uses(map, copy, goroutines, process, tables).run();
}

}  // namespace mapwatch::forensics
