#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "base/escape.h"
#include "dossier/map_company.h"
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

std::string function_of(const NamedFrame* frame) { return frame == nullptr ? "code that is not known" : frame->func; }

/// A line of its own, as in all tracebacks: `dossier export --redact` finds paths there.
std::string file_line(const NamedFrame* frame) {
  return frame == nullptr ? "" : fmt::format("          {}:{}\n", frame->file, frame->line);
}

std::string rest(std::size_t all, std::size_t shown) {
  return all > shown ? fmt::format("  ... and {} more\n", all - shown) : "";
}

class Writer {
 public:
  explicit Writer(const MapCompany& company) : c_(company) {}

  std::string run() {
    out_ = fmt::format("Who else was on map {} when the process stood still:\n",
                       report::padded_address(c_.report.map.addr));
    operations();
    accesses();
    out_ += "Who holds its address (stacks, registers and variables; the heap was not searched):\n";
    stacks();
    registers();
    variables();
    for (const std::string& part : c_.holders.partial) {
      out_ += fmt::format("  not searched: {}\n", escape(part));
    }
    return std::move(out_);
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

  static std::string_view how(OperationEvidence evidence) {
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

  void operations() {
    std::size_t shown = 0;
    std::size_t others = 0;
    for (const forensics::MapOperation& operation : c_.use.inside) {
      const Goroutine& goroutine = c_.goroutines.list[operation.goroutine];
      if (goroutine.id == c_.report.goid) {
        continue;
      }
      if (++others > kShownOperations) {
        continue;
      }
      ++shown;
      const std::string when = began(operation.began_ns);
      const NamedFrame* user = user_place(goroutine, operation.frame, c_.names);
      out_ +=
          fmt::format("  {}: inside its {}{}{}; {}\n      {}()\n{}", named(goroutine), report::op_noun(operation.op),
                      when.empty() ? "" : ", ", when, how(operation.evidence), function_of(user), file_line(user));
    }
    if (others == 0) {
      out_ += "  no other goroutine's stack is in an operation on it\n";
    }
    out_ += rest(others, shown);
  }

  void accesses() {
    if (c_.use.accesses.empty()) {
      return;
    }
    out_ +=
        "Who used it before, as mapwatch's probes noted it (a goroutine that ended may have left its place to the "
        "one named):\n";
    for (std::size_t i = 0; i < std::min(c_.use.accesses.size(), kShownAccesses); ++i) {
      const forensics::MapAccess& access = c_.use.accesses[i];
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
      out_ += fmt::format("  {}\n", text);
    }
    out_ += rest(c_.use.accesses.size(), kShownAccesses);
  }

  void stacks() {
    // Workers of one kind hold it at one place: one line for all of them.
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
    out_ += fmt::format("  stacks: {} words of {} goroutines\n", c_.holders.stacks_total, c_.holders.goroutines_total);
    for (std::size_t i = 0; i < std::min(order.size(), kShownGroups); ++i) {
      const forensics::StackHolder& one = *order[i]->front();
      std::string ids;
      for (std::size_t k = 0; k < std::min(order[i]->size(), kShownIds); ++k) {
        ids += fmt::format("{}{}", k == 0 ? "" : ", ", c_.goroutines.list[(*order[i])[k]->goroutine].id);
      }
      ids += order[i]->size() > kShownIds ? ", ..." : "";
      const Goroutine& goroutine = c_.goroutines.list[one.goroutine];
      const NamedFrame* place = place_of(goroutine, one.frame, c_.names);
      std::string where = fmt::format("sp+{:#x} of {}()", one.sp_offset, function_of(place));
      const std::string file = file_line(place);
      if (one.argument_of_callee) {
        const NamedFrame* callee = place_of(goroutine, one.frame - 1, c_.names);
        where += fmt::format(", word {} of the arguments of {}()", *one.argument_of_callee, function_of(callee));
      }
      out_ += fmt::format("    goroutine{} {}: {}\n{}", order[i]->size() == 1 ? "" : "s", ids, where, file);
    }
    out_ += rest(order.size(), kShownGroups);
  }

  void registers() {
    for (const forensics::RegisterHolder& holder : c_.holders.registers) {
      out_ += fmt::format(
          "  register {} of thread {}{}\n", register_name(holder.reg), holder.thread,
          holder.goroutine ? fmt::format(", goroutine {}", c_.goroutines.list[*holder.goroutine].id) : std::string());
    }
  }

  void variables() {
    const auto& list = c_.holders.variables;
    for (std::size_t i = 0; i < std::min(list.size(), kShownVariables); ++i) {
      const forensics::VariableHolder& holder = list[i];
      std::string text = holder.variable.name.empty() ? "" : escape(holder.variable.name);
      if (!text.empty() && holder.variable.offset != 0) {
        text += fmt::format("+{:#x}", holder.variable.offset);
      }
      std::string users;
      for (const std::string& user : holder.used_by) {
        users += fmt::format("{}{}", users.empty() ? ", used by " : ", ", escape(user));
      }
      out_ += fmt::format("  variable {}{}{} {:#x}{}\n", text, text.empty() ? "in " : ", in ",
                          holder.variable.section.empty() ? "the program's data at" : escape(holder.variable.section),
                          holder.address, users);
    }
    out_ += rest(c_.holders.variables_total, std::min(list.size(), kShownVariables));
    if (c_.holders.variables_total == 0) {
      out_ += "  no variable of the program\n";
    }
  }

  const MapCompany& c_;
  std::string out_;
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

std::string company_text(const MapCompany& company) { return Writer(company).run(); }

}  // namespace mapwatch::dossier
