#include "elf/runtime_globals.h"

#include <elf.h>

#include <vector>

#include "elf/variables.h"

namespace mapwatch::elf {
namespace {

struct Rule {
  std::string_view symbol;
  std::string_view function;  ///< empty: nothing but the symbol table tells
  std::size_t ordinal = 0;    ///< among the function's references to variables, from 0
  std::uint64_t RuntimeGlobals::*member = nullptr;
};

constexpr Rule kRules[] = {
    {"runtime.allgs", "runtime.forEachG", 1, &RuntimeGlobals::allgs},
    {"runtime.allglen", "runtime.forEachGRace", 0, &RuntimeGlobals::allglen},
    {"runtime.allgptr", "runtime.forEachGRace", 1, &RuntimeGlobals::allgptr},
    {"runtime.allm", "runtime.mexit", 3, &RuntimeGlobals::allm},
    {"runtime.allp", "runtime.gcMarkTinyAllocs", 0, &RuntimeGlobals::allp},
    {"runtime.sched", "runtime.oneNewExtraM", 2, &RuntimeGlobals::sched},
    {"runtime.gcphase", "runtime.queuefinalizer", 0, &RuntimeGlobals::gcphase},
    {"runtime.runtimeInitTime", "", 0, &RuntimeGlobals::init_time},
    {"time.startNano", "", 0, &RuntimeGlobals::time_start},
};
// The longest of those functions has some 1,200 bytes.
constexpr std::size_t kMaxCode = 8192;

/// By the symbol table; a program that links C may have kept it while DWARF went.
void read_symbols(const Image& image, RuntimeGlobals& globals) {
  const Section* table = image.section(".symtab");
  const Section* names = image.section(".strtab");
  const Bytes symbols = table == nullptr ? Bytes() : image.contents(*table).value_or(Bytes());
  const Bytes strings = names == nullptr ? Bytes() : image.contents(*names).value_or(Bytes());
  std::size_t found = 0;
  for (std::uint64_t at = 0; found < std::size(kRules); at += sizeof(Elf64_Sym)) {
    const auto symbol = symbols.read<Elf64_Sym>(at);
    if (!symbol) {
      return;
    }
    if (ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT) {
      continue;
    }
    const auto name = strings.c_string(symbol->st_name);
    for (const Rule& rule : kRules) {
      if (name == rule.symbol && globals.*rule.member == 0) {
        globals.*rule.member = symbol->st_value;
        ++found;
      }
    }
  }
}

}  // namespace

RuntimeGlobals find_runtime_globals(const Image& image, const std::optional<ModuleData>& module,
                                    const std::function<std::optional<Function>(std::string_view)>& find) {
  RuntimeGlobals globals;
  read_symbols(image, globals);
  if (globals.allgptr != 0 || globals.allgs != 0) {
    globals.source = GlobalSource::kSymbols;
    return globals;
  }
  for (const Rule& rule : kRules) {
    const auto function = rule.function.empty() ? std::nullopt : find(rule.function);
    if (!function || !module || function->end - function->entry > kMaxCode) {
      continue;
    }
    const auto code = image.at(function->entry, function->end - function->entry);
    const auto references = data_references(code.value_or(Bytes()), function->entry, module->data, module->data_end);
    if (rule.ordinal < references.size()) {
      globals.*rule.member = references[rule.ordinal];
      globals.source = GlobalSource::kCode;
    }
  }
  return globals;
}

}  // namespace mapwatch::elf
