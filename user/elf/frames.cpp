#include "elf/frames.h"

#include <algorithm>
#include <optional>

namespace mapwatch::elf {
namespace {

// The compiler stops inlining long before; a table with a longer chain is corrupt.
constexpr std::size_t kMaxInlineDepth = 128;
// Steps through pc-value tables for one address. The largest real functions (generated tables) need some 100,000.
constexpr std::size_t kMaxSteps = 4'000'000;

// FuncIDs that came before the wrapper's: corostart, runCleanups.
constexpr int kCoroutines = 22;
constexpr int kCleanups = 25;

struct InlinedCall {
  std::string_view name;
  std::uint64_t parent_distance = 0;  ///< from the function's entry to the call in the parent
  std::optional<std::int32_t> file;   ///< position of the call, where the entry holds it (up to 1.19)
  std::int32_t line = 0;
  std::uint8_t func_id = 0;
};

class Expander {
 public:
  Expander(const Image& image, const PclnTable& table, const FuncRecord& record, std::uint64_t gofunc)
      : table_(table), record_(record) {
    if (!record.inline_tree || !record.pc_inline) {
      return;
    }
    if (table.layout() == PclnLayout::k116) {
      tree_ = image.from(*record.inline_tree);
    } else if (gofunc != 0) {
      tree_ = image.from(gofunc + *record.inline_tree);
    }
  }

  std::string file(std::int64_t number) {
    const auto path = table_.file(record_.cu_offset, number);
    return path ? std::string(*path) : "?";
  }
  std::string file_at(std::uint64_t distance) {
    return file(table_.value(record_.pcfile, distance, steps_).value_or(-1));
  }
  int line_at(std::uint64_t distance) { return table_.value(record_.pcln, distance, steps_).value_or(0); }

  /// The innermost inlined call at `distance`; nullopt when the code there is the function's own.
  std::optional<InlinedCall> call_at(std::uint64_t distance) {
    const auto index = tree_ ? table_.value(*record_.pc_inline, distance, steps_) : std::nullopt;
    if (!index || *index < 0) {
      return std::nullopt;
    }
    return table_.layout() == PclnLayout::k120 ? read_new(*index) : read_old(*index);
  }

 private:
  std::optional<InlinedCall> read_old(std::int32_t index) const {
    struct Entry {  // runtime.inlinedCall, Go 1.17 to 1.19
      std::int16_t parent;
      std::uint8_t func_id, pad;
      std::int32_t file, line, name, parent_pc;
    };
    static_assert(sizeof(Entry) == 20);
    const auto entry = tree_->read<Entry>(static_cast<std::uint64_t>(index) * sizeof(Entry));
    const auto name = entry ? table_.name(entry->name) : std::nullopt;
    if (!name || entry->parent_pc < 0) {
      return std::nullopt;
    }
    return InlinedCall{*name, static_cast<std::uint64_t>(entry->parent_pc), entry->file, entry->line, entry->func_id};
  }

  std::optional<InlinedCall> read_new(std::int32_t index) const {
    struct Entry {  // runtime.inlinedCall, from Go 1.20
      std::uint8_t func_id, pad[3];
      std::int32_t name, parent_pc, start_line;
    };
    static_assert(sizeof(Entry) == 16);
    const auto entry = tree_->read<Entry>(static_cast<std::uint64_t>(index) * sizeof(Entry));
    const auto name = entry ? table_.name(entry->name) : std::nullopt;
    if (!name || entry->parent_pc < 0) {
      return std::nullopt;
    }
    return InlinedCall{*name, static_cast<std::uint64_t>(entry->parent_pc), std::nullopt, 0, entry->func_id};
  }

  const PclnTable& table_;
  const FuncRecord& record_;
  std::optional<Bytes> tree_;
  std::size_t steps_ = kMaxSteps;
};

}  // namespace

std::string printed_name(std::string_view name) {
  const std::size_t open = name.find('[');
  const std::size_t close = name.rfind(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close <= open) {
    return std::string(name);
  }
  std::string printed(name.substr(0, open));
  printed += "[...]";
  printed += name.substr(close + 1);
  return printed;
}

std::vector<SourceFrame> expand_frames(const Image& image, const PclnTable& table, const Function& function,
                                       std::size_t index, std::uint64_t gofunc, std::uint64_t address,
                                       std::uint8_t wrapper_id) {
  std::vector<SourceFrame> frames;
  const auto record = table.record(image, index);
  if (!record) {
    frames.push_back({printed_name(function.name), "?", 0, false, function.entry});
    return frames;
  }
  Expander expander(image, table, *record, gofunc);
  std::uint64_t distance = address - function.entry;
  std::string file = expander.file_at(distance);
  int line = expander.line_at(distance);
  std::vector<std::uint64_t> seen;
  while (frames.size() < kMaxInlineDepth) {
    const auto call = expander.call_at(distance);
    // In package initialisers the compiler may name the inlined code itself as its caller.
    if (!call || std::ranges::find(seen, call->parent_distance) != seen.end()) {
      break;
    }
    seen.push_back(call->parent_distance);
    frames.push_back(
        {printed_name(call->name), std::move(file), line, true, function.entry, call->func_id == wrapper_id});
    distance = call->parent_distance;
    file = call->file ? expander.file(*call->file) : expander.file_at(distance);
    line = call->file ? call->line : expander.line_at(distance);
  }
  frames.push_back(
      {printed_name(function.name), std::move(file), line, false, function.entry, record->func_id == wrapper_id});
  return frames;
}

std::uint8_t wrapper_func_id(int minor) {
  if (minor == 17) {
    return 22;
  }
  return minor < kCoroutines ? 21 : minor < kCleanups ? 22 : 23;
}

}  // namespace mapwatch::elf
