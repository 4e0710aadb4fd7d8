#include "forensics/map_holders.h"

#include <algorithm>

#include <fmt/format.h>

#include "arch/arguments.h"

namespace mapwatch::forensics {
namespace {

// Functions named for a variable without a name, and variables they are looked for.
constexpr std::size_t kMostUsers = 4;
constexpr std::size_t kMostVariables = 16;

class Holders {
 public:
  Holders(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines, const GoProcess& process)
      : map_(map), copy_(copy), goroutines_(goroutines), process_(process) {}

  MapHolders run(const std::optional<WordPlaces>& variables) {
    std::unordered_map<std::uint64_t, std::size_t> entries;
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      entries.emplace(copy_.gs.addresses[i], i);
    }
    std::uint64_t not_searched = 0;
    for (std::size_t i = 0; i < goroutines_.list.size(); ++i) {
      const auto entry = entries.find(goroutines_.list[i].address);
      const StackBytes stack = entry == entries.end() ? StackBytes() : copy_.stacks[entry->second];
      not_searched += stack.bytes.empty() || copy_.stack_cut[entry->second];
      search_stack(i, stack);
    }
    if (not_searched != 0) {
      holders_.partial.push_back(fmt::format("the stacks of {} goroutines, or parts of them", not_searched));
    }
    search_registers();
    add_variables(variables);
    return std::move(holders_);
  }

 private:
  /// The stack that the goroutine's own frames are on; those on the system stack are the runtime's.
  void search_stack(std::size_t index, const StackBytes& stack) {
    const Goroutine& goroutine = goroutines_.list[index];
    const std::vector<Frame>& frames = goroutine.frames;
    const auto own = std::ranges::find(frames, false, &Frame::system_stack);
    auto frame = static_cast<std::size_t>(own - frames.begin());
    std::uint64_t begin = goroutine.sp;
    std::uint64_t found = 0;
    find_word(stack.bytes, stack.begin, map_, [&](std::uint64_t address) {
      while (frame < frames.size() && frames[frame].cfa <= address) {
        begin = frames[frame].cfa;
        ++frame;
      }
      // Below the first frame is what earlier calls left; beyond the last one nothing is known of whose it is.
      if (frame >= frames.size() || address < begin || begin == 0) {
        return;
      }
      ++found;
      if (holders_.stacks.size() < kMostHolders) {
        holders_.stacks.push_back({index, frame, address, address - begin, argument(frames, frame, address - begin)});
      }
    });
    holders_.stacks_total += found;
    holders_.goroutines_total += found != 0;
  }

  static std::optional<std::size_t> argument(const std::vector<Frame>& frames, std::size_t frame,
                                             std::uint64_t offset) {
    const bool called = frame != 0 && !frames[frame - 1].system_stack && !frames[frame].exact;
    return called && offset < 8 * arch::kArguments ? std::optional<std::size_t>(offset / 8) : std::nullopt;
  }

  void search_registers() {
    std::unordered_map<std::uint64_t, std::size_t> by_thread;
    for (std::size_t i = 0; i < goroutines_.list.size(); ++i) {
      if (goroutines_.list[i].status == GStatus::kRunning && goroutines_.list[i].thread != 0) {
        by_thread.emplace(goroutines_.list[i].thread, i);
      }
    }
    for (const auto& [thread, registers] : copy_.registers) {
      for (std::size_t reg = 0; reg < registers.general.size(); ++reg) {
        if (registers.general[reg] == map_ && holders_.registers.size() < kMostHolders) {
          const auto goroutine = by_thread.find(thread);
          holders_.registers.push_back(
              {thread, goroutine == by_thread.end() ? std::nullopt : std::optional(goroutine->second), reg});
        }
      }
    }
    std::ranges::sort(holders_.registers, {}, [](const RegisterHolder& one) { return std::pair(one.thread, one.reg); });
  }

  void add_variables(const std::optional<WordPlaces>& variables) {
    if (!variables) {
      holders_.partial.push_back("the program's variables");
      return;
    }
    if (!variables->partial.empty()) {
      holders_.partial.push_back(fmt::format("the program's variables: {} after {} KiB", variables->partial,
                                             variables->bytes_searched / 1024));
    } else if (variables->bytes_unreadable != 0) {
      holders_.partial.push_back(
          fmt::format("{} KiB of the program's variables, which cannot be read", variables->bytes_unreadable / 1024));
    }
    holders_.variables_total = variables->total;
    const elf::GoBinary& binary = *process_.binary;
    for (const std::uint64_t address : variables->addresses) {
      VariableHolder holder{address, address - process_.bias, binary.variable_at(address - process_.bias), {}};
      if (holder.variable.name.empty() && holders_.variables.size() < kMostVariables) {
        for (const elf::Function& function : binary.functions_referring_to(holder.file_address, kMostUsers)) {
          holder.used_by.emplace_back(function.name);
        }
      }
      holders_.variables.push_back(std::move(holder));
    }
  }

  std::uint64_t map_;
  const GoroutineCopy& copy_;
  const Goroutines& goroutines_;
  const GoProcess& process_;
  MapHolders holders_;
};

}  // namespace

MapHolders map_holders(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines,
                       const GoProcess& process, const std::optional<WordPlaces>& variables) {
  return Holders(map, copy, goroutines, process).run(variables);
}

std::vector<elf::AddressRange> variable_memory(const GoProcess& process) {
  std::vector<elf::AddressRange> ranges = process.binary->variable_ranges();
  for (elf::AddressRange& range : ranges) {
    range.begin += process.bias;
    range.end += process.bias;
  }
  return ranges;
}

}  // namespace mapwatch::forensics
