#include "attach/site_plan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

namespace mapwatch::attach {
namespace {

constexpr std::string_view kIterInit = "internal/runtime/maps.(*Iter).Init";
constexpr std::string_view kIterNext = "internal/runtime/maps.(*Iter).Next";
constexpr std::size_t kMaxMapFunctions = 1024;  // as plan_probes
constexpr std::uint8_t kCallOpcode = 0xe8;

/// What is known of one map function's callers and callees.
struct Node {
  std::vector<std::size_t> callees;  ///< of the same kind of operation
  std::vector<std::size_t> callers;
  std::size_t calls = 0;   ///< sites that call it
  std::size_t armed = 0;   ///< of these, probed
  bool open = false;       ///< reached otherwise than by calls that can be armed: its callers are not to be armed
  std::string why;         ///< it is open
  std::size_t others = 0;  ///< references that are no call sites
  bool followed = false;   ///< (*Iter).Init where there is a Next: whoever calls it calls Next
};

std::string describe(const arch::OtherReference& other, std::span<const elf::Function> functions) {
  const std::string where = other.caller ? fmt::format("in {} ", functions[*other.caller].name) : "";
  switch (other.kind) {
    case arch::ReferenceKind::kJump:
      return fmt::format("a jump {}at {:#x} leads to it", where, other.address);
    case arch::ReferenceKind::kAddress:
      return fmt::format("its address is taken {}at {:#x}", where, other.address);
    case arch::ReferenceKind::kPointer:
      return fmt::format("the program's data hold its address at {:#x}", other.address);
    case arch::ReferenceKind::kUndecoded:
      return fmt::format("it may be called {}at {:#x}, but that function does not decode", where, other.address);
    case arch::ReferenceKind::kMisaligned:
      return fmt::format("it may be called {}at {:#x}, inside of another instruction", where, other.address);
    case arch::ReferenceKind::kOutside:
      return fmt::format("it may be called at {:#x}, which is in no Go function", other.address);
  }
  return "";
}

class Chooser {
 public:
  Chooser(std::span<const MapFunction> maps, const arch::CallSites& found, const std::vector<bool>& probed,
          std::span<const elf::Function> functions)
      : maps_(maps), found_(found), probed_(probed), functions_(functions), nodes_(maps.size()) {
    for (std::size_t i = 0; i < maps.size(); ++i) {
      by_index_.emplace(maps[i].index, i);
    }
  }

  SiteChoice run() {
    link();
    open();
    SiteChoice choice;
    for (const arch::CallSite& call : found_.calls) {
      choice.armed.push_back(counts(call));
      nodes_[call.target].armed += choice.armed.back() ? 1 : 0;
    }
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      choice.keeps_probe.push_back(nodes_[i].open && probed_[i]);
      choice.omissions.push_back({std::string(maps_[i].candidate.name), reason(i)});
    }
    return choice;
  }

 private:
  /// The map function of the same kind that `caller` is; nullopt for the program's own code.
  std::optional<std::size_t> wrapper(std::optional<std::uint32_t> caller, std::uint32_t target) const {
    const auto found = caller ? by_index_.find(*caller) : by_index_.end();
    const bool same = found != by_index_.end() && maps_[found->second].candidate.op == maps_[target].candidate.op;
    return same ? std::optional(found->second) : std::nullopt;
  }

  void link() {
    const auto next = std::ranges::find(maps_, kIterNext, [](const MapFunction& map) { return map.candidate.name; });
    const auto add = [this](std::optional<std::uint32_t> caller, std::uint32_t target) {
      const auto from = wrapper(caller, target);
      if (from && *from != target) {
        nodes_[*from].callees.push_back(target);
        nodes_[target].callers.push_back(*from);
      }
    };
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      nodes_[i].followed = next != maps_.end() && maps_[i].candidate.name == kIterInit;
    }
    for (const arch::CallSite& call : found_.calls) {
      ++nodes_[call.target].calls;
      if (!nodes_[call.target].followed) {
        add(call.caller, call.target);
      }
    }
    for (const arch::OtherReference& other : found_.others) {
      Node& node = nodes_[other.target];
      if (++node.others == 1) {
        set_open(other.target, describe(other, functions_));
      }
      if (other.kind == arch::ReferenceKind::kJump) {
        add(other.caller, other.target);
      }
    }
  }

  void set_open(std::size_t index, std::string why) {
    if (!nodes_[index].open) {
      nodes_[index].open = true;
      nodes_[index].why = std::move(why);
    }
  }

  /// A function that calls an open one is open itself: its operations are counted further in.
  void open() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const auto same_name = [&](std::size_t callee) {
        return maps_[callee].candidate.name == maps_[i].candidate.name;
      };
      if (std::ranges::any_of(nodes_[i].callees, same_name)) {
        set_open(i, "it is the other ABI's way into the function of its name, with arguments on the stack");
      } else if (nodes_[i].calls + nodes_[i].others == 0) {
        set_open(i, "no call of it is seen");
      }
    }
    std::vector<std::size_t> todo;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].open) {
        todo.push_back(i);
      }
    }
    while (!todo.empty()) {
      const std::size_t at = todo.back();
      todo.pop_back();
      for (const std::size_t caller : nodes_[at].callers) {
        if (!nodes_[caller].open) {
          set_open(caller, fmt::format("it calls {}, whose callers are not known", maps_[at].candidate.name));
          todo.push_back(caller);
        }
      }
    }
  }

  /// Its operations cannot be counted further in than at its callers.
  bool innermost(std::size_t index) const { return !probed_[index] && nodes_[index].callees.empty(); }

  bool counts(const arch::CallSite& call) const {
    const Node& node = nodes_[call.target];
    if (node.followed || (node.open && !innermost(call.target))) {
      return false;
    }
    const auto from = wrapper(call.caller, call.target);
    return !from || (nodes_[*from].open && !probed_[*from]);
  }

  std::string reason(std::size_t index) const {
    const Node& node = nodes_[index];
    if (node.followed) {
      return fmt::format("is always followed by {}, which is counted", kIterNext);
    }
    if (!node.open) {
      return node.armed == node.calls
                 ? fmt::format("is counted where it is called (calls: {})", node.calls)
                 : fmt::format(
                       "is counted where it is called (calls: {}, of them in map functions whose own calls are "
                       "counted: {})",
                       node.calls, node.calls - node.armed);
    }
    const std::string more = node.others > 1 ? fmt::format(" (and {} more)", node.others - 1) : "";
    if (probed_[index]) {
      return fmt::format("keeps its own probe: {}{}", node.why, more);
    }
    if (innermost(index)) {
      return fmt::format("is seen only where it is called, and not all of that is known: {}{}", node.why, more);
    }
    return fmt::format("is counted at what it calls: {}{}", node.why, more);
  }

  std::span<const MapFunction> maps_;
  const arch::CallSites& found_;
  const std::vector<bool>& probed_;
  std::span<const elf::Function> functions_;
  std::unordered_map<std::uint32_t, std::size_t> by_index_;
  std::vector<Node> nodes_;
};

ProbeSpec call_probe(const arch::CallSite& call, const MapFunction& map, const elf::Function& caller,
                     std::uint64_t file_offset) {
  ProbeSpec probe;
  probe.op = map.candidate.op;
  probe.site_class = MW_SITE_CALL;
  probe.arg = map.candidate.arg;
  probe.function = map.candidate.name;
  probe.caller = caller.name;
  probe.entry = caller.entry;
  probe.address = call.address;
  probe.file_offset = file_offset;
  probe.instruction = "call";
  const auto distance = static_cast<std::uint32_t>(map.entry - (call.address + arch::kCallSize));
  const auto byte = [distance](unsigned shift) { return static_cast<std::uint8_t>(distance >> shift); };
  probe.bytes = {kCallOpcode, byte(0), byte(8), byte(16), byte(24)};
  probe.emulated = true;
  probe.initialiser = is_package_initialiser(caller.name);
  return probe;
}

Result<std::vector<MapFunction>> map_functions(std::span<const elf::Function> functions) {
  std::vector<MapFunction> maps;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    const auto candidate = arch::find_candidate(functions[i].name);
    if (!candidate || !candidate->never.empty() || candidate->op == MW_OP_FATAL || candidate->op == MW_OP_THROW) {
      continue;
    }
    if (!maps.empty() && maps.back().entry == functions[i].entry) {
      continue;  // one of them has no code
    }
    if (maps.size() >= kMaxMapFunctions) {
      return fail(ErrorKind::kMalformed, fmt::format("the function table names {} map functions and more: no Go linker "
                                                     "wrote it",
                                                     kMaxMapFunctions));
    }
    maps.push_back({*candidate, functions[i].entry, static_cast<std::uint32_t>(i)});
  }
  return maps;
}

}  // namespace

SiteChoice choose_sites(std::span<const MapFunction> maps, const arch::CallSites& found,
                        const std::vector<bool>& probed, std::span<const elf::Function> functions) {
  return Chooser(maps, found, probed, functions).run();
}

Result<Plan> plan_call_sites(const elf::GoBinary& binary, const Plan& functions) {
  const std::vector<MapFunction> maps = TRY(map_functions(binary.functions()));
  std::vector<std::uint64_t> targets;
  std::vector<bool> probed;
  for (const MapFunction& map : maps) {
    targets.push_back(map.entry);
    probed.push_back(
        std::ranges::any_of(functions.probes, [&](const auto& probe) { return probe.entry == map.entry; }));
  }
  const arch::CallSites found = TRY(arch::find_call_sites(binary, targets));
  const SiteChoice choice = choose_sites(maps, found, probed, binary.functions());
  Plan plan;
  for (const ProbeSpec& probe : functions.probes) {
    const auto map = std::ranges::find(maps, probe.entry, &MapFunction::entry);
    if (map == maps.end() || choice.keeps_probe[static_cast<std::size_t>(map - maps.begin())]) {
      plan.probes.push_back(probe);
    }
  }
  for (std::size_t i = 0; i < found.calls.size(); ++i) {
    const arch::CallSite& call = found.calls[i];
    const auto offset = choice.armed[i] ? binary.file_offset(call.address) : std::nullopt;
    if (offset) {
      plan.probes.push_back(call_probe(call, maps[call.target], binary.functions()[call.caller], *offset));
    }
  }
  if (plan.probes.size() > MW_MAX_SITES) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{} call sites: at most {} can be probed", plan.probes.size(), MW_MAX_SITES),
                "it is watched at its functions");
  }
  std::ranges::sort(plan.probes, {}, &ProbeSpec::address);
  plan.omissions = choice.omissions;
  return plan;
}

bool is_package_initialiser(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t dot = name.find('.', slash == std::string_view::npos ? 0 : slash);
  if (dot == std::string_view::npos) {
    return false;
  }
  std::string_view local = name.substr(dot + 1);
  if (local == "init") {
    return true;
  }
  for (const std::string_view prefix : {"init.", "map.init."}) {
    if (local.starts_with(prefix)) {
      const std::string_view number = local.substr(prefix.size());
      return !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
    }
  }
  return false;
}

}  // namespace mapwatch::attach
