#include "attach/plan.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "arch/candidates.h"
#include "arch/instruction.h"
#include "arch/prologue.h"

namespace mapwatch::attach {
namespace {

// The largest map function of Go 1.17-1.27 has 2.5 KB of code, 8 KB at -N -l; a table that says more is wrong.
constexpr std::uint64_t kMaxFunctionSize = 64U << 10;
constexpr std::size_t kMaxCandidates = 1024;  // a table may hold one name many times

constexpr std::string_view kIterInit = "internal/runtime/maps.(*Iter).Init";
constexpr std::string_view kIterNext = "internal/runtime/maps.(*Iter).Next";

/// A candidate and what became of it.
struct Node {
  const FunctionCode* function = nullptr;
  arch::Candidate candidate;
  std::vector<std::size_t> callees;  ///< nodes of the same kind that it calls
  std::optional<ProbeSpec> probe;    ///< planned, if it shall have one
  std::string refusal;               ///< why it cannot be probed
  /// The callee that counts this operation already; set by count().
  std::optional<std::size_t> counted_by;
  enum { kUnknown, kInProgress, kCounted, kUncounted } state = kUnknown;
};

bool is_end_of_process(mw_op op) { return op == MW_OP_FATAL || op == MW_OP_THROW; }

ProbeSpec make_probe(const Node& node, mw_site_class site_class, const arch::Instruction& insn) {
  const std::uint64_t offset = insn.address - node.function->entry;
  ProbeSpec probe;
  probe.op = node.candidate.op;
  probe.site_class = site_class;
  probe.arg = node.candidate.arg;
  probe.function = node.candidate.name;
  probe.entry = node.function->entry;
  probe.address = insn.address;
  probe.file_offset = node.function->file_offset + offset;
  probe.instruction = insn.mnemonic;
  probe.bytes = arch::InstructionBytes(*node.function->code.sub(offset, insn.length));  // decoded from there
  probe.emulated = insn.emulated;
  return probe;
}

void find_site(Node& node) {
  const auto site = arch::find_prologue_site(node.function->code, node.function->entry);
  if (site && site->instruction.emulated) {
    const bool push = site->kind == arch::SiteKind::kPush;
    node.probe = make_probe(node, push ? MW_SITE_PUSH : MW_SITE_JCC, site->instruction);
    return;
  }
  if (is_end_of_process(node.candidate.op)) {
    // Without a stack check before Go 1.21. A single step is dear, but this happens once.
    if (const auto first = arch::decode(node.function->code, node.function->entry)) {
      node.probe = make_probe(node, MW_SITE_ENTRY, *first);
      return;
    }
  }
  node.refusal = site ? fmt::format("instruction {} at +{:#x} is not emulated by the kernel",
                                    site->instruction.mnemonic, site->instruction.address - node.function->entry)
                      : site.error();
}

std::vector<Node> make_nodes(const std::vector<FunctionCode>& functions) {
  std::vector<Node> nodes;
  for (const FunctionCode& function : functions) {
    if (const auto candidate = arch::find_candidate(function.name); candidate && nodes.size() < kMaxCandidates) {
      nodes.emplace_back();
      nodes.back().function = &function;
      nodes.back().candidate = *candidate;
    }
  }
  return nodes;
}

/// Who calls whom among operations of one kind. An ABI0 wrapper has the name of what it wraps and calls it: one more
/// edge.
void link_nodes(std::vector<Node>& nodes) {
  std::unordered_map<std::uint64_t, std::size_t> by_entry;
  std::optional<std::size_t> next;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    by_entry.emplace(nodes[i].function->entry, i);
    if (nodes[i].function->name == kIterNext) {
      next = i;
    }
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    for (const std::uint64_t target : arch::direct_targets(node.function->code, node.function->entry)) {
      const auto callee = by_entry.find(target);
      if (callee != by_entry.end() && callee->second != i && nodes[callee->second].candidate.op == node.candidate.op &&
          nodes[callee->second].candidate.never.empty()) {
        node.callees.push_back(callee->second);
      }
    }
    if (node.function->name == kIterInit && next) {
      node.callees.push_back(*next);  // no call, but no Init goes without a Next
    }
  }
}

/// Whether the operation of `nodes[index]` is counted: by a callee, or else by a probe of its own. Sets counted_by.
/// Recursion is as deep as there are kinds of wrappers; a cycle of calls, which no Go has, ends in its first function.
bool count(std::vector<Node>& nodes, std::size_t index) {
  Node& node = nodes[index];
  if (node.state != Node::kUnknown) {
    return node.state == Node::kCounted;
  }
  node.state = Node::kInProgress;
  for (const std::size_t callee : node.callees) {
    // Of several rather the one with a probe of its own, which makes the shorter reason.
    if (count(nodes, callee) && (!node.counted_by || !nodes[callee].counted_by)) {
      node.counted_by = callee;
    }
  }
  const bool counted = node.counted_by || node.probe;
  node.state = counted ? Node::kCounted : Node::kUncounted;
  return counted;
}

std::string counted_reason(const std::vector<Node>& nodes, const Node& node) {
  std::string reason;
  const Node* at = &node;
  for (std::size_t depth = 0; at->counted_by && depth < nodes.size(); ++depth) {
    const Node* callee = &nodes[*at->counted_by];
    const bool follows = at->function->name == kIterInit;
    reason += fmt::format("{} {}, which ", follows ? "is always followed by" : "calls", callee->function->name);
    at = callee;
  }
  return reason + "is probed";
}

}  // namespace

Plan plan_functions(const std::vector<FunctionCode>& functions) {
  std::vector<Node> nodes = make_nodes(functions);
  for (Node& node : nodes) {
    if (node.candidate.never.empty()) {
      find_site(node);
    }
  }
  link_nodes(nodes);
  Plan plan;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    if (!node.candidate.never.empty()) {
      plan.omissions.push_back({node.function->name, std::string(node.candidate.never)});
      continue;
    }
    count(nodes, i);
    if (node.counted_by) {
      plan.omissions.push_back({node.function->name, counted_reason(nodes, node)});
    } else if (node.probe) {
      plan.probes.push_back(*node.probe);
    } else {
      plan.omissions.push_back({node.function->name, node.refusal});
    }
  }
  std::ranges::sort(plan.probes, {}, &ProbeSpec::address);
  return plan;
}

Result<Plan> plan_probes(const elf::GoBinary& binary) {
  std::vector<FunctionCode> functions;
  std::vector<Omission> unreadable;
  for (const elf::Function& function : binary.functions()) {
    if (!arch::find_candidate(function.name)) {
      continue;
    }
    if (functions.size() + unreadable.size() >= kMaxCandidates) {
      return fail(ErrorKind::kMalformed, fmt::format("the function table names {} map functions and more: no Go linker "
                                                     "wrote it",
                                                     kMaxCandidates));
    }
    const bool sane = function.end > function.entry && function.end - function.entry <= kMaxFunctionSize;
    const auto code = sane ? binary.code(function.entry, function.end) : std::nullopt;
    const auto offset = binary.file_offset(function.entry);
    if (code && offset) {
      functions.push_back({std::string(function.name), function.entry, *offset, *code});
    } else {
      unreadable.push_back({std::string(function.name), fmt::format("its bounds {:#x}-{:#x} are no code of the file",
                                                                    function.entry, function.end)});
    }
  }
  Plan plan = plan_functions(functions);
  plan.omissions.insert(plan.omissions.end(), unreadable.begin(), unreadable.end());
  const bool any_map = std::ranges::any_of(plan.probes, [](const auto& probe) { return !is_end_of_process(probe.op); });
  if (any_map) {
    return plan;
  }
  std::string reasons;
  for (const Omission& omission : plan.omissions) {
    reasons += fmt::format("\n  {}: {}", omission.function, omission.reason);
  }
  return fail(ErrorKind::kUnsupported,
              reasons.empty() ? "the program holds no map function" : "no map function can be probed:" + reasons,
              reasons.empty() ? "a program that uses no map cannot misuse one" : "please report this build of Go");
}

}  // namespace mapwatch::attach
