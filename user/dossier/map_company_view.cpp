#include "dossier/map_company_view.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "base/escape.h"
#include "dossier/traceback.h"
#include "forensics/call_arguments.h"
#include "report/format.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;
using forensics::OperationEvidence;

constexpr std::size_t kShownOperations = 20;
constexpr std::size_t kShownAccesses = 10;
constexpr std::size_t kShownGroups = 20;
constexpr std::size_t kShownIds = 10;
constexpr std::size_t kShownVariables = 20;

std::string function_of(const NamedFrame* frame) { return frame == nullptr ? std::string(kUnknownCode) : frame->func; }

std::optional<NamedFrame> copy_of(const NamedFrame* frame) {
  return frame == nullptr ? std::nullopt : std::optional(*frame);
}

template <typename T>
void add(Shown<T>& list, std::size_t limit, T item) {
  if (list.items.size() < limit) {
    list.items.push_back(std::move(item));
  } else {
    ++list.left_out;
  }
}

std::string_view how(OperationEvidence evidence) {
  switch (evidence) {
    case OperationEvidence::kArguments:
      return "its call's arguments prove it";
    case OperationEvidence::kProbe:
      return "a probe saw the call begin";
    case OperationEvidence::kSlot:
      return "NOT CERTAIN: an argument slot says so, which an earlier call may have left";
  }
  return "";
}

class Maker {
 public:
  explicit Maker(const MapCompany& company) : c_(company) {}

  CompanyView run() {
    view_.map = report::padded_address(c_.report.map.addr);
    operations();
    accesses();
    stacks();
    registers();
    variables();
    for (const std::string& part : c_.holders.partial) {
      view_.not_searched.push_back(escape(part));
    }
    return std::move(view_);
  }

 private:
  std::string named(const Goroutine& goroutine) const {
    return fmt::format("goroutine {} [{}]{}", goroutine.id, state_text(goroutine, c_.names.go_minor()),
                       goroutine.thread == 0 ? "" : fmt::format(", thread {}", goroutine.thread));
  }

  /// "begun 3.1us before the crash"; empty when no time was noted.
  std::string began(std::uint64_t began_ns) const {
    return began_ns == 0 ? "" : "begun " + report::before_crash(c_.report.time_ns, began_ns);
  }

  void operations() {
    for (const forensics::MapOperation& operation : c_.use.inside) {
      const Goroutine& goroutine = c_.goroutines.list[operation.goroutine];
      if (goroutine.id == c_.report.goid) {
        continue;
      }
      const std::string when = began(operation.began_ns);
      add(view_.inside, kShownOperations,
          {named(goroutine),
           fmt::format("inside its {}{}{}; {}", report::op_noun(operation.op), when.empty() ? "" : ", ", when,
                       how(operation.evidence)),
           operation.evidence != OperationEvidence::kSlot, copy_of(user_place(goroutine, operation.frame, c_.names))});
    }
  }

  void accesses() {
    for (const forensics::MapAccess& access : c_.use.accesses) {
      const Goroutine* goroutine = access.goid == 0 ? nullptr : c_.goroutines.find(access.goid);
      std::string text = goroutine == nullptr ? fmt::format("a goroutine that has ended (its g is {:#x})", access.g)
                                              : named(*goroutine);
      if (access.op != MW_OP_NONE) {
        const std::string when = began(access.began_ns);
        text += fmt::format(": {}{}", report::op_noun(access.op),
                            when.empty() ? ", at a moment that was not noted" : ", " + when);
      } else {
        text += ": went on to another map since";
      }
      text += access.last ? "; nobody came after it" : "";
      text += access.last_writer ? "; the last writer" : access.previous_writer ? "; the writer before the last" : "";
      add(view_.accesses, kShownAccesses, std::move(text));
    }
  }

  void stacks() {
    view_.stack_count = fmt::format("{} words of {} goroutines", c_.holders.stacks_total, c_.holders.goroutines_total);
    std::map<std::tuple<std::uint64_t, std::uint64_t, bool>, std::vector<const forensics::StackHolder*>> groups;
    for (const forensics::StackHolder& holder : c_.holders.stacks) {
      const forensics::Frame& frame = c_.goroutines.list[holder.goroutine].frames[holder.frame];
      groups[{frame.pc, holder.sp_offset, holder.argument_of_callee.has_value()}].push_back(&holder);
    }
    std::vector<std::vector<const forensics::StackHolder*>*> order;
    for (auto& [key, members] : groups) {
      order.push_back(&members);
    }
    std::ranges::stable_sort(order, std::greater<>(), [](const auto* members) { return members->size(); });
    for (const auto* members : order) {
      if (view_.stacks.items.size() == kShownGroups) {
        ++view_.stacks.left_out;
      } else {
        view_.stacks.items.push_back(stack_group(*members));
      }
    }
  }

  CompanyStacks stack_group(const std::vector<const forensics::StackHolder*>& members) {
    std::string ids;
    for (std::size_t k = 0; k < std::min(members.size(), kShownIds); ++k) {
      ids += fmt::format("{}{}", k == 0 ? "" : ", ", c_.goroutines.list[members[k]->goroutine].id);
    }
    ids += members.size() > kShownIds ? ", ..." : "";
    const forensics::StackHolder& one = *members.front();
    const Goroutine& goroutine = c_.goroutines.list[one.goroutine];
    const std::optional<NamedFrame> place = copy_of(place_of(goroutine, one.frame, c_.names));
    std::string where = fmt::format("sp+{:#x} of {}()", one.sp_offset, function_of(place ? &*place : nullptr));
    if (one.argument_of_callee) {
      const NamedFrame* callee = place_of(goroutine, one.frame - 1, c_.names);
      where += fmt::format(", word {} of the arguments of {}()", *one.argument_of_callee, function_of(callee));
    }
    return {fmt::format("goroutine{} {}", members.size() == 1 ? "" : "s", ids), std::move(where), place};
  }

  void registers() {
    for (const forensics::RegisterHolder& holder : c_.holders.registers) {
      view_.registers.push_back(fmt::format(
          "register {} of thread {}{}", register_name(holder.reg), holder.thread,
          holder.goroutine ? fmt::format(", goroutine {}", c_.goroutines.list[*holder.goroutine].id) : std::string()));
    }
  }

  void variables() {
    for (const forensics::VariableHolder& holder : c_.holders.variables) {
      std::string text = holder.variable.name.empty() ? "" : escape(holder.variable.name);
      if (!text.empty() && holder.variable.offset != 0) {
        text += fmt::format("+{:#x}", holder.variable.offset);
      }
      std::string users;
      for (const std::string& user : holder.used_by) {
        users += fmt::format("{}{}", users.empty() ? ", used by " : ", ", escape(user));
      }
      add(view_.variables, kShownVariables,
          fmt::format("variable {}{}{} {:#x}{}", text, text.empty() ? "in " : ", in ",
                      holder.variable.section.empty() ? "the program's data at" : escape(holder.variable.section),
                      holder.address, users));
    }
    view_.variables.left_out = c_.holders.variables_total - view_.variables.items.size();
  }

  const MapCompany& c_;
  CompanyView view_;
};

}  // namespace

std::string_view evidence_name(OperationEvidence evidence) {
  switch (evidence) {
    case OperationEvidence::kArguments:
      return "arguments";
    case OperationEvidence::kProbe:
      return "probe";
    case OperationEvidence::kSlot:
      return "slot";
  }
  return "slot";
}

std::string_view register_name(std::size_t reg) {
  static constexpr std::array<std::string_view, 16> kNames = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                              "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  return reg < kNames.size() ? kNames[reg] : "?";
}

const NamedFrame* place_of(const Goroutine& goroutine, std::size_t i, FrameNames& names) {
  const std::vector<NamedFrame>& frames = names.of(goroutine.frames[i]);
  return frames.empty() ? nullptr : &frames.front();
}

const NamedFrame* user_place(const Goroutine& goroutine, std::size_t i, FrameNames& names) {
  for (; i < goroutine.frames.size(); ++i) {
    for (const NamedFrame& frame : names.of(goroutine.frames[i])) {
      if (!forensics::runs_map_code(frame.func)) {
        return &frame;
      }
    }
  }
  return nullptr;
}

std::string_view no_variable(const CompanyView& view) {
  return view.not_searched.empty() ? "no variable of the program"
                                   : "no variable of the program, as far as was searched";
}

CompanyView company_view(const MapCompany& company) { return Maker(company).run(); }

}  // namespace mapwatch::dossier
