#include "forensics/core_memory.h"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kMaxSegments = 1U << 20;
constexpr std::size_t kMaxFiles = 1U << 18;
constexpr std::uint64_t kPage = 4096;

}  // namespace

Result<CoreMemory> CoreMemory::parse(Bytes core, Bytes executable) {
  const auto header = core.read<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return fail(ErrorKind::kMalformed, "not an ELF core file");
  }
  if (header->e_type != ET_CORE) {
    return fail(ErrorKind::kMalformed, fmt::format("ELF file of type {}, not a core", header->e_type));
  }
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64) {
    return fail(ErrorKind::kUnsupported, "core of another architecture",
                "mapwatch supports 64-bit amd64 programs only");
  }
  std::size_t count = header->e_phnum;
  if (count == PN_XNUM) {
    const auto first = core.read<Elf64_Shdr>(header->e_shoff);
    count = first ? first->sh_info : 0;
  }
  if (count == 0 || count > kMaxSegments || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return fail(ErrorKind::kMalformed, "core file without usable program headers");
  }
  CoreMemory memory;
  for (std::size_t i = 0; i < count; ++i) {
    const auto segment = core.read<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) {
      return fail(ErrorKind::kMalformed, "core file truncated in its program headers");
    }
    // A core that was cut off (disk full, RLIMIT_CORE) still holds what came before.
    const Bytes rest = core.from(segment->p_offset).value_or(Bytes());
    const Bytes bytes = *rest.sub(0, std::min<std::uint64_t>(rest.size(), segment->p_filesz));
    if (segment->p_type == PT_NOTE) {
      memory.read_notes(bytes);
    } else if (segment->p_type == PT_LOAD && segment->p_vaddr + segment->p_memsz > segment->p_vaddr) {
      memory.pieces_.push_back({segment->p_vaddr, bytes});
      memory.mappings_.push_back({segment->p_vaddr, segment->p_vaddr + segment->p_memsz, (segment->p_flags & PF_R) != 0,
                                  (segment->p_flags & PF_W) != 0, (segment->p_flags & PF_X) != 0, 0, ""});
    }
  }
  std::ranges::sort(memory.mappings_, {}, &Mapping::begin);
  memory.fill_from(executable);
  std::ranges::stable_sort(memory.pieces_, {}, &Piece::begin);
  return memory;
}

void CoreMemory::read_notes(Bytes notes) {
  const auto padded = [](std::uint64_t size) { return (size + 3) / 4 * 4; };
  std::uint64_t at = 0;
  while (const auto header = notes.read<Elf64_Nhdr>(at)) {
    const std::uint64_t text_at = at + sizeof(Elf64_Nhdr) + padded(header->n_namesz);
    const auto text = notes.sub(text_at, header->n_descsz);
    if (!text) {
      return;
    }
    if (header->n_type == NT_PRSTATUS) {
      read_registers(*text);
    } else if (header->n_type == NT_FILE) {
      read_files(*text);
    } else if (header->n_type == NT_AUXV) {
      for (std::uint64_t pair = 0; const auto key = text->read<std::uint64_t>(pair); pair += 16) {
        if (*key == AT_ENTRY) {
          entry_ = text->read<std::uint64_t>(pair + 8).value_or(0);
        }
      }
    }
    at = text_at + padded(header->n_descsz);
  }
}

void CoreMemory::read_registers(Bytes note) {
  const auto status = note.read<elf_prstatus>(0);
  if (!status) {
    return;
  }
  user_regs_struct registers{};
  static_assert(sizeof(registers) == sizeof(status->pr_reg));
  std::memcpy(&registers, &status->pr_reg, sizeof(registers));
  registers_[static_cast<std::uint64_t>(status->pr_pid)] = ThreadRegisters::of(registers);
}

/// NT_FILE: count, page size, {begin, end, offset in pages} each, then the paths (fs/binfmt_elf.c, fill_files_note).
void CoreMemory::read_files(Bytes note) {
  const std::uint64_t count = std::min<std::uint64_t>(note.read<std::uint64_t>(0).value_or(0), kMaxFiles);
  const std::uint64_t page = note.read<std::uint64_t>(8).value_or(0);
  struct Entry {
    std::uint64_t begin, end, offset;
  };
  std::uint64_t path_at = 16 + count * sizeof(Entry);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = note.read<Entry>(16 + i * sizeof(Entry));
    const auto path = note.c_string(path_at);
    if (!entry || !path) {
      return;
    }
    path_at += path->size() + 1;
    if (entry->end > entry->begin) {
      files_.push_back({entry->begin, entry->end, true, false, false, entry->offset * page, std::string(*path)});
    }
  }
}

Result<std::uint64_t> CoreMemory::load_bias() const {
  if (entry_ == 0) {
    return fail(ErrorKind::kMalformed, "the core file does not tell where the program was loaded (no AT_ENTRY)");
  }
  const std::uint64_t bias = entry_ - file_entry_;
  if (bias % kPage != 0) {
    return fail(ErrorKind::kMalformed, "the core file is of another program", "give the very executable that crashed");
  }
  return bias;
}

void CoreMemory::fill_from_segments(Bytes executable) {
  const auto header = executable.read<Elf64_Ehdr>(0);
  const auto bias = load_bias();
  if (!header || !bias || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return;
  }
  for (std::size_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = executable.read<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment || segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) {
      continue;
    }
    if (const auto bytes = executable.sub(segment->p_offset, segment->p_filesz)) {
      pieces_.push_back({segment->p_vaddr + *bias, *bytes});
    }
  }
}

void CoreMemory::fill_from(Bytes executable) {
  file_entry_ = executable.read<Elf64_Ehdr>(0).value_or(Elf64_Ehdr{}).e_entry;
  if (files_.empty()) {
    fill_from_segments(executable);
  }
  const auto program =
      std::ranges::find_if(files_, [&](const Mapping& file) { return entry_ >= file.begin && entry_ < file.end; });
  if (program != files_.end()) {
    executable_path_ = program->path;
  }
  for (const Mapping& file : files_) {
    for (Mapping& mapping : mappings_) {
      if (file.begin >= mapping.begin && file.begin < mapping.end) {
        mapping.path = file.path;
        mapping.file_offset = file.file_offset - (file.begin - mapping.begin);
      }
    }
    if (program == files_.end() || file.path != executable_path_) {
      continue;
    }
    const Bytes rest = executable.from(file.file_offset).value_or(Bytes());
    pieces_.push_back({file.begin, *rest.sub(0, std::min<std::uint64_t>(rest.size(), file.end - file.begin))});
  }
}

bool CoreMemory::read(std::uint64_t address, std::span<std::uint8_t> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t where = address + done;
    auto after = std::ranges::upper_bound(pieces_, where, {}, &Piece::begin);
    std::size_t count = 0;
    // Of the pieces that begin at one address the dumped one comes first and may be empty. A hostile core may have
    // its pieces overlap: only the nearest ones are looked at.
    for (int tries = 0; tries < 4 && count == 0 && after != pieces_.begin(); ++tries) {
      --after;
      const std::uint64_t skip = where - after->begin;
      if (skip < after->bytes.size()) {
        const bool hidden = after != pieces_.begin() && std::prev(after)->begin == after->begin &&
                            skip < std::prev(after)->bytes.size();
        const Bytes bytes = hidden ? std::prev(after)->bytes : after->bytes;
        count = std::min<std::size_t>(out.size() - done, bytes.size() - skip);
        std::memcpy(out.data() + done, bytes.data() + skip, count);
      }
    }
    if (count == 0) {
      return false;
    }
    done += count;
  }
  return true;
}

}  // namespace mapwatch::forensics
