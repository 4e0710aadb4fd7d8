#include "elf/variables.h"

#include <Zydis/Zydis.h>
#include <elf.h>

#include <cstring>

namespace mapwatch::elf {
namespace {

// No function that a linker makes is longer; decoding one takes some 10 ms.
constexpr std::uint64_t kMaxCode = std::uint64_t{1} << 20;
// Bytes that look like a reference and are none: some of 16 million positions; a hostile file may have many.
constexpr std::size_t kMaxSuspects = 4096;

/// Calls `suspect` with each position of a 4-byte displacement that would lead to `address`. Behind a displacement an
/// instruction has 0, 1, 2 or 4 bytes of immediate (Intel SDM vol. 2, 2.1).
template <typename Suspect>
void find_displacements(Bytes code, std::uint64_t begin, std::uint64_t address, const Suspect& suspect) {
  const std::byte* bytes = code.data();
  for (std::uint64_t at = 0; at + 4 <= code.size(); ++at) {
    std::int32_t displacement = 0;
    std::memcpy(&displacement, bytes + at, sizeof(displacement));
    const std::uint64_t target = begin + at + 4 + static_cast<std::uint64_t>(std::int64_t{displacement});
    if (address - target <= 4 && !suspect(begin + at)) {
      return;
    }
  }
}

}  // namespace

std::vector<AddressRange> variable_ranges(const Image& image) {
  std::vector<AddressRange> ranges;
  for (const Segment& segment : image.loads()) {
    if (segment.writable) {
      ranges.push_back({segment.address, segment.address + segment.memory_size});
    }
  }
  return ranges;
}

Variable variable_at(const Image& image, std::uint64_t address) {
  Variable variable;
  for (const Section& section : image.sections()) {
    const bool in_memory = (section.flags & SHF_ALLOC) != 0 && (section.flags & SHF_TLS) == 0;
    if (in_memory && address >= section.address && address - section.address < section.size) {
      variable.section = section.name;
      break;
    }
  }
  const Section* table = image.section(".symtab");
  const Section* names = image.section(".strtab");
  const Bytes symbols = table == nullptr ? Bytes() : image.contents(*table).value_or(Bytes());
  const Bytes strings = names == nullptr ? Bytes() : image.contents(*names).value_or(Bytes());
  for (std::uint64_t at = 0; const auto symbol = symbols.read<Elf64_Sym>(at); at += sizeof(Elf64_Sym)) {
    if (ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT && address >= symbol->st_value &&
        address - symbol->st_value < symbol->st_size) {
      variable.name = strings.c_string(symbol->st_name).value_or(std::string_view());
      variable.offset = address - symbol->st_value;
      break;
    }
  }
  return variable;
}

std::vector<std::uint64_t> data_references(Bytes code, std::uint64_t address, std::uint64_t begin, std::uint64_t end) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  std::vector<std::uint64_t> found;
  for (std::size_t at = 0; at < code.size();) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data() + at, code.size() - at, &instruction, operands))) {
      ++at;
      continue;
    }
    for (std::size_t i = 0; i < instruction.operand_count_visible; ++i) {
      ZyanU64 target = 0;
      if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && operands[i].mem.base == ZYDIS_REGISTER_RIP &&
          ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[i], address + at, &target)) &&
          target >= begin && target < end) {
        found.push_back(target);
      }
    }
    at += instruction.length;
  }
  return found;
}

std::vector<Function> functions_referring_to(const Image& image, std::uint64_t address, std::size_t most,
                                             const std::function<std::optional<Function>(std::uint64_t)>& at) {
  std::vector<Function> found;
  std::size_t suspects = 0;
  for (const Segment& segment : image.loads()) {
    const auto code = segment.executable ? image.at(segment.address, segment.file_size) : std::nullopt;
    std::uint64_t done = 0;  // the end of the function that was decoded last
    find_displacements(code.value_or(Bytes()), segment.address, address, [&](std::uint64_t place) {
      const auto function = place < done ? std::nullopt : at(place);
      if (function && function->end - function->entry <= kMaxCode) {
        done = function->end;
        const auto body = image.at(function->entry, function->end - function->entry);
        if (!data_references(body.value_or(Bytes()), function->entry, address, address + 1).empty()) {
          found.push_back(*function);
        }
      }
      return found.size() < most && ++suspects < kMaxSuspects;
    });
  }
  return found;
}

}  // namespace mapwatch::elf
