#include "elf/pclntab.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace mapwatch::elf {
namespace {

// pcHeader: magic, two zero bytes, minLC (1 on amd64), ptrSize.
constexpr std::uint64_t kTail = 0x08010000;
constexpr std::uint64_t kMagic116 = (kTail << 32) | 0xfffffffaU;
constexpr std::uint64_t kMagic118 = (kTail << 32) | 0xfffffff0U;
constexpr std::uint64_t kMagic120 = (kTail << 32) | 0xfffffff1U;
constexpr std::uint32_t kNoValue = 0xffffffffU;
constexpr std::uint8_t kInlTreeIndex = 2;  // abi.PCDATA_InlTreeIndex
constexpr std::uint8_t kInlTree = 3;       // abi.FUNCDATA_InlTree
constexpr std::size_t kMaxName = std::size_t{1} << 16;
constexpr std::array<std::string_view, 2> kSections = {".gopclntab", ".data.rel.ro.gopclntab"};

std::optional<PclnLayout> layout_of(std::uint64_t first_word) {
  switch (first_word) {
    case kMagic116:
      return PclnLayout::k116;
    case kMagic118:
      return PclnLayout::k118;
    case kMagic120:
      return PclnLayout::k120;
    default:
      return std::nullopt;
  }
}

/// One unsigned varint of at most 32 bits, as runtime.readvarint.
std::optional<std::uint32_t> read_varint(Bytes bytes, std::uint64_t& at) {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    const auto byte = bytes.read<std::uint8_t>(at);
    if (!byte) {
      return std::nullopt;
    }
    ++at;
    value |= shift < 32 ? (std::uint32_t{*byte} & 0x7f) << shift : 0;
    if ((*byte & 0x80) == 0) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<PclnTable> PclnTable::parse(const Image& image, std::uint64_t address) {
  const auto malformed = [&](std::string_view what) {
    return fail(ErrorKind::kMalformed, fmt::format("corrupt Go pclntab at {:#x}: {}", address, what));
  };
  const auto region = image.from(address);
  const auto layout = region ? layout_of(region->read<std::uint64_t>(0).value_or(0)) : std::nullopt;
  if (!layout) {
    return malformed("no header of Go 1.16 to 1.27");
  }
  PclnTable table;
  table.layout_ = *layout;
  table.address_ = address;
  // nfunc, nfiles, [textStart], funcnameOffset, cuOffset, filetabOffset, pctabOffset, pclnOffset
  const bool has_text_start = *layout != PclnLayout::k116;
  const auto words = image.words(address + 8, has_text_start ? 8 : 7);
  if (!words) {
    return malformed("truncated in its header");
  }
  const std::size_t first = has_text_start ? 3 : 2;
  const auto subtable = [&](std::size_t index) { return region->from((*words)[first + index]); };
  const auto names = subtable(0);
  const auto units = subtable(1);
  const auto files = subtable(2);
  const auto values = subtable(3);
  const auto functions = subtable(4);
  if (!names || !units || !files || !values || !functions) {
    return malformed("a subtable lies outside of its segment");
  }
  table.count_ = (*words)[0];
  table.text_start_ = has_text_start ? (*words)[2] : 0;
  table.names_offset_ = (*words)[first];
  table.functions_offset_ = (*words)[first + 4];
  table.names_ = *names;
  table.units_ = *units;
  table.files_ = *files;
  table.values_ = *values;
  table.functions_ = *functions;
  if (table.count_ == 0 || table.count_ >= functions->size() / table.functab_entry_size()) {
    return malformed(fmt::format("{} functions do not fit in {} bytes", table.count_, functions->size()));
  }
  return table;
}

std::optional<std::uint64_t> PclnTable::func_offset(std::size_t index) const {
  if (layout_ == PclnLayout::k116) {
    return functions_.read<std::uint64_t>(index * 16 + 8);
  }
  return functions_.read<std::uint32_t>(index * 8 + 4);
}

Result<std::vector<Function>> PclnTable::functions(const Image& image, std::uint64_t text_start) const {
  const auto malformed = [&](std::size_t index, std::string_view what) {
    return fail(ErrorKind::kMalformed,
                fmt::format("corrupt Go pclntab at {:#x}: function {} {}", address_, index, what));
  };
  std::vector<std::uint64_t> entries(count_ + 1);
  if (layout_ == PclnLayout::k116) {
    const auto words = image.words(functions_address(), 2 * count_ + 1);
    if (!words) {
      return malformed(0, "is not in the file");
    }
    for (std::size_t i = 0; i <= count_; ++i) {
      entries[i] = (*words)[2 * i];
    }
  } else {
    for (std::size_t i = 0; i <= count_; ++i) {
      entries[i] = text_start + functions_.read<std::uint32_t>(i * 8).value_or(0);
    }
  }
  if (!image.executable(entries.front()) || entries.back() == 0 || !image.executable(entries.back() - 1)) {
    return malformed(0, "lies outside of the program's code");
  }
  std::vector<Function> functions(count_);
  const std::uint64_t name_field = layout_ == PclnLayout::k116 ? 8 : 4;
  for (std::size_t i = 0; i < count_; ++i) {
    if (entries[i] > entries[i + 1]) {
      return malformed(i, "is out of order");
    }
    const auto record = func_offset(i);
    const auto name_offset = record ? functions_.read<std::int32_t>(*record + name_field) : std::nullopt;
    const auto function_name = name_offset ? name(*name_offset) : std::nullopt;
    if (!function_name) {
      return malformed(i, "has no name");
    }
    functions[i] = {entries[i], entries[i + 1], *function_name};
  }
  return functions;
}

std::optional<PclnTable::Head> PclnTable::head(std::size_t index) const {
  const auto start = index < count_ ? func_offset(index) : std::nullopt;
  if (!start) {
    return std::nullopt;
  }
  // nameoff, args, deferreturn, pcsp, pcfile, pcln, npcdata, cuOffset, [startLine], funcID, flag, pad, nfuncdata
  std::uint64_t at = *start + (layout_ == PclnLayout::k116 ? 8 : 4);
  struct Fixed {
    std::int32_t name_offset, args;
    std::uint32_t deferreturn, pcsp, pcfile, pcln, npcdata, cu_offset;
  };
  const auto fixed = functions_.read<Fixed>(at);
  at += sizeof(Fixed) + (layout_ == PclnLayout::k120 ? 4 : 0);
  struct Small {
    std::uint8_t func_id, flags, pad, nfuncdata;
  };
  const auto small = functions_.read<Small>(at);
  if (!fixed || !small) {
    return std::nullopt;
  }
  return Head{fixed->name_offset, fixed->args,  fixed->deferreturn, fixed->pcsp,
              fixed->pcfile,      fixed->pcln,  fixed->npcdata,     fixed->cu_offset,
              small->func_id,     small->flags, small->nfuncdata,   at + sizeof(Small)};
}

std::optional<FuncRecord> PclnTable::record(const Image& image, std::size_t index) const {
  const auto start = head(index);
  if (!start) {
    return std::nullopt;
  }
  FuncRecord record;
  record.pcsp = start->pcsp;
  record.func_id = start->func_id;
  record.flags = start->flags;
  record.pcfile = start->pcfile;
  record.pcln = start->pcln;
  record.cu_offset = start->cu_offset;
  std::uint64_t at = start->tables;
  if (start->npcdata > kInlTreeIndex) {
    record.pc_inline = functions_.read<std::uint32_t>(at + 4 * kInlTreeIndex);
  }
  at += 4 * std::uint64_t{start->npcdata};
  if (start->nfuncdata > kInlTree && layout_ == PclnLayout::k116) {
    const std::uint64_t aligned = (functions_address() + at + 7) / 8 * 8;
    record.inline_tree = image.word(aligned + 8 * kInlTree);
    if (record.inline_tree == 0) {
      record.inline_tree.reset();
    }
  } else if (start->nfuncdata > kInlTree) {
    const auto offset = functions_.read<std::uint32_t>(at + 4 * kInlTree);
    if (offset && *offset != kNoValue) {
      record.inline_tree = *offset;
    }
  }
  return record;
}

std::uint64_t PclnTable::end_address() const {
  const auto last = head(count_ - 1);
  if (!last) {
    return functions_address();
  }
  // Up to 1.17 the funcdata are 8-byte words, aligned.
  return functions_address() + last->tables + 4 * std::uint64_t{last->npcdata} + 8 * std::uint64_t{last->nfuncdata} + 8;
}

std::optional<std::string_view> PclnTable::name(std::int32_t offset) const {
  return offset < 0 ? std::nullopt : names_.c_string(static_cast<std::uint64_t>(offset), kMaxName);
}

std::optional<std::string_view> PclnTable::file(std::uint32_t cu_offset, std::int64_t file) const {
  if (file < 0) {
    return std::nullopt;
  }
  const auto offset = units_.read<std::uint32_t>((cu_offset + static_cast<std::uint64_t>(file)) * 4);
  return offset && *offset != kNoValue ? files_.c_string(*offset, kMaxName) : std::nullopt;
}

std::optional<std::int32_t> PclnTable::value(std::uint32_t offset, std::uint64_t distance, std::size_t& steps) const {
  if (offset == 0) {
    return std::nullopt;
  }
  std::uint64_t at = offset;
  std::uint64_t pc = 0;
  std::uint32_t value = kNoValue;
  for (bool first = true; steps > 0; first = false, --steps) {
    const auto delta = read_varint(values_, at);
    if (!delta || (*delta == 0 && !first)) {
      return std::nullopt;
    }
    const auto advance = read_varint(values_, at);
    if (!advance) {
      return std::nullopt;
    }
    value += (*delta & 1) != 0 ? ~(*delta >> 1) : *delta >> 1;
    pc += *advance;
    if (distance < pc) {
      return static_cast<std::int32_t>(value);
    }
  }
  return std::nullopt;
}

std::vector<std::uint64_t> pclntab_candidates(const Image& image, std::size_t limit) {
  std::vector<std::uint64_t> found;
  for (const std::string_view name : kSections) {
    const Section* section = image.section(name);
    if (section != nullptr && section->size != 0) {
      found.push_back(section->address);
    }
  }
  if (!found.empty()) {
    return found;
  }
  for (const Segment& segment : image.loads()) {
    const Bytes bytes = image.from(segment.address).value_or(Bytes());
    for (std::uint64_t at = (8 - segment.address % 8) % 8; at + 8 <= bytes.size() && found.size() < limit; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, sizeof(word));
      if (layout_of(word)) {
        found.push_back(segment.address + at);
      }
    }
  }
  return found;
}

}  // namespace mapwatch::elf
