// A Go executable with some bytes changed, or any bytes at all: ELF image, build info, pclntab, moduledata, type names,
// frames, unwinding, the plan's prologues, call sites, pointers, variables and arguments. Every error is fine, every
// answer too; the sanitizers judge the reads.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "arch/arguments.h"
#include "arch/call_sites.h"
#include "arch/instruction.h"
#include "arch/prologue.h"
#include "elf/go_binary.h"
#include "elf/runtime_globals.h"
#include "elf/runtime_layout.h"
#include "elf/tiny_go.h"

namespace {

using namespace mapwatch;
using test::TinyGo;

void ask_everything(const elf::GoBinary& binary) {
  (void)binary.runtime_layout();
  (void)binary.runtime_globals();
  std::vector<std::uint64_t> entries;
  for (const elf::Function& function : binary.functions()) {
    if (entries.size() < 64 && (entries.empty() || entries.back() < function.entry)) {
      entries.push_back(function.entry);
    }
  }
  (void)arch::find_call_sites(binary, entries);
  (void)binary.variable_ranges();
  (void)binary.functions_referring_to(TinyGo::kBase + 64, 4);
  const arch::StackDistance distance = [&](std::uint64_t address) {
    const auto row = binary.unwind_row(address);
    return row ? row->sp_delta : std::nullopt;
  };
  std::size_t asked = 0;
  for (const elf::Function& function : binary.functions()) {
    if (++asked > 64) {
      break;
    }
    (void)binary.find(function.name);
    (void)binary.at(function.entry);
    (void)binary.frames(function.entry + 20);
    (void)binary.unwind_row(function.entry + 20);
    (void)binary.file_offset(function.entry);
    if (const auto code = binary.code(function.entry, function.end); code && code->size() <= 4096) {
      (void)arch::find_prologue_site(*code, function.entry);
      (void)arch::direct_targets(*code, function.entry);
      (void)arch::argument_facts(*code, function.entry, distance, function.entry + 20, asked % 2 == 0);
    }
  }
  (void)binary.variable_at(TinyGo::kBase + 64);
  for (std::uint64_t at = 0; at < TinyGo::kSize; at += 16) {
    (void)binary.type_name(TinyGo::kBase + at);
    (void)binary.frames(TinyGo::kBase + at);
    (void)binary.unwind_row(TinyGo::kBase + at);
  }
}

void read(Bytes file) {
  (void)elf::read_build_info(file);
  if (const auto binary = elf::GoBinary::parse(file)) {
    ask_everything(*binary);
  }
}

// Versions whose tables differ: with and without an inline tree of its own, bucket and Swiss maps, newer than known.
constexpr const char* kVersions[] = {"go1.17.13", "go1.18.10", "go1.20.14", "go1.22.12",
                                     "go1.24.13", "go1.27.4",  "go1.99.1",  "devel go1.25-0123456789"};

}  // namespace

// The first byte chooses: 0 takes the rest as the file; others choose a version of the tiny program, whose bytes are
// then replaced: { u16 where, u8 count, count bytes }.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::uint8_t mode = *data++;
  --size;
  if (mode == 0) {
    read(Bytes(reinterpret_cast<const std::byte*>(data), size));
    return 0;
  }
  TinyGo program(kVersions[mode % std::size(kVersions)]);
  while (size > 3) {
    std::uint16_t where = 0;
    std::memcpy(&where, data, sizeof(where));
    const std::size_t begin = where % TinyGo::kSize;
    const std::size_t count = std::min({std::size_t{data[2]} % 32, size - 3, TinyGo::kSize - begin});
    std::memcpy(program.bytes().data() + begin, data + 3, count);
    data += 3 + count;
    size -= 3 + count;
  }
  if (mode & 0x80) {
    program.bytes().resize(TinyGo::kSize - mode % 64);
  }
  read(program.view());
  return 0;
}
