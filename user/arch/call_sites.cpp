#include "arch/call_sites.h"

#include <algorithm>

#include <fmt/format.h>

#include "arch/instruction.h"
#include "arch/instruction_length.h"
#include "arch/rel32_scan.h"

namespace mapwatch::arch {
namespace {

constexpr std::uint64_t kMaxCode = std::uint64_t{1} << 30;
constexpr std::size_t kMaxReferences = 131072;  // Prometheus has 20,000
constexpr std::uint8_t kCallOpcode = 0xe8;

/// Code by address. Segments of a hostile file may overlap; the first one that holds a range counts.
class Text {
 public:
  explicit Text(const std::vector<elf::MappedBytes>& segments) : segments_(segments) {}

  std::optional<Bytes> at(std::uint64_t begin, std::uint64_t end) const {
    for (const elf::MappedBytes& segment : segments_) {
      const std::uint64_t offset = begin - segment.address;
      if (begin >= segment.address && end >= begin && offset < segment.bytes.size()) {
        return segment.bytes.sub(offset, end - begin);
      }
    }
    return std::nullopt;
  }

 private:
  const std::vector<elf::MappedBytes>& segments_;
};

bool is_call_opcode(const Text& text, const Rel32& hit) {
  const auto byte = text.at(hit.address - 1, hit.address);
  return byte && byte->read<std::uint8_t>(0) == kCallOpcode;
}

std::optional<std::uint32_t> function_at(std::span<const elf::Function> functions, std::uint64_t address) {
  const auto after = std::ranges::upper_bound(functions, address, {}, &elf::Function::entry);
  if (after == functions.begin() || address >= std::prev(after)->end) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(after - functions.begin() - 1);
}

/// Reads one function from its start to its end and tells what each of its hits is.
class Sweep {
 public:
  Sweep(const Text& text, const ProgramCode& code, std::span<const std::uint64_t> targets, CallSites& out)
      : text_(text), functions_(code.functions), targets_(targets), out_(out) {}

  void run(std::uint32_t index, std::span<const Rel32> hits) {
    const elf::Function& function = functions_[index];
    const auto code = text_.at(function.entry, function.end);
    const std::size_t calls_before = out_.calls.size();
    const std::size_t others_before = out_.others.size();
    if (!code || !decode_all(*code, function, index, hits)) {
      out_.calls.resize(calls_before);
      out_.others.resize(others_before);
      for (const Rel32& hit : hits) {
        out_.others.push_back({ReferenceKind::kUndecoded, hit.address, hit.target, index});
      }
    }
  }

 private:
  bool decode_all(Bytes code, const elf::Function& function, std::uint32_t index, std::span<const Rel32> hits) {
    std::uint64_t at = 0;
    std::size_t next = 0;
    while (at < code.size()) {
      const Bytes rest = *code.from(at);
      const unsigned length = instruction_length(rest);
      if (length == 0) {
        return false;
      }
      while (next < hits.size() && hits[next].address < function.entry + at + length) {
        classify(rest, function, index, function.entry + at, hits[next++]);
      }
      at += length;
    }
    return next == hits.size();  // a displacement may reach beyond the end of its function: cut off
  }

  void classify(Bytes rest, const elf::Function& function, std::uint32_t index, std::uint64_t address,
                const Rel32& hit) {
    const auto insn = decode(rest, address);
    if (!insn) {
      return;  // has a length, so it decodes
    }
    const std::uint64_t target = targets_[hit.target];
    const bool at_its_end = address + insn->length == hit.address + sizeof(std::int32_t);
    if (at_its_end && insn->target == target) {
      if (insn->kind == InstructionClass::kCall && insn->emulated) {
        out_.calls.push_back({address, hit.target, index});
      } else if (insn->kind == InstructionClass::kCall || function.entry != target) {
        out_.others.push_back({ReferenceKind::kJump, address, hit.target, index});
      }
    } else if (at_its_end && insn->refers == target) {
      out_.others.push_back({ReferenceKind::kAddress, address, hit.target, index});
    } else if (is_call_opcode(text_, hit)) {
      out_.others.push_back({ReferenceKind::kMisaligned, hit.address - 1, hit.target, index});
    }
  }

  const Text& text_;
  std::span<const elf::Function> functions_;
  std::span<const std::uint64_t> targets_;
  CallSites& out_;
};

}  // namespace

Result<CallSites> find_code_references(const ProgramCode& code, std::span<const std::uint64_t> targets) {
  std::uint64_t size = 0;
  for (const elf::MappedBytes& segment : code.segments) {
    size += segment.bytes.size();
  }
  if (size > kMaxCode) {
    return fail(ErrorKind::kMalformed, fmt::format("{} bytes of code: too much to look for calls in", size));
  }
  std::vector<Rel32> hits;
  for (const elf::MappedBytes& segment : code.segments) {
    find_rel32(segment.bytes, segment.address, targets, kMaxReferences + 1, hits);
  }
  if (hits.size() > kMaxReferences) {
    return fail(ErrorKind::kMalformed,
                fmt::format("more than {} calls of map functions: no Go compiler wrote this code", kMaxReferences));
  }
  std::ranges::sort(hits, {}, &Rel32::address);
  const Text text(code.segments);
  CallSites out;
  Sweep sweep(text, code, targets, out);
  for (std::size_t begin = 0; begin < hits.size();) {
    const auto index = function_at(code.functions, hits[begin].address - 1);
    if (!index) {
      out.others.push_back({ReferenceKind::kOutside, hits[begin].address, hits[begin].target, std::nullopt});
      ++begin;
      continue;
    }
    std::size_t end = begin + 1;
    while (end < hits.size() && hits[end].address - 1 < code.functions[*index].end) {
      ++end;
    }
    sweep.run(*index, std::span(hits).subspan(begin, end - begin));
    begin = end;
  }
  return out;
}

Result<CallSites> find_call_sites(const elf::GoBinary& binary, std::span<const std::uint64_t> targets) {
  CallSites found = TRY(find_code_references({binary.executable_segments(), binary.functions()}, targets));
  for (const elf::Pointer& pointer : TRY(binary.pointers_to(targets))) {
    const auto place = std::ranges::lower_bound(targets, pointer.target);
    found.others.push_back(
        {ReferenceKind::kPointer, pointer.address, static_cast<std::uint32_t>(place - targets.begin()), std::nullopt});
  }
  return found;
}

}  // namespace mapwatch::arch
