// runtime.moduledata: the linker's directory of a Go program, without symbols. Source: runtime/symtab.go, Go 1.17 to
// 1.27; the layout by version is in offset_table.inc.
#pragma once

#include <cstdint>
#include <optional>

#include "elf/image.h"
#include "elf/offsets.h"
#include "elf/pclntab.h"

namespace mapwatch::elf {

struct ModuleData {
  std::uint64_t address = 0;
  std::uint64_t text = 0;  ///< runtime.text: what function entries are relative to
  std::uint64_t etext = 0;
  std::uint64_t types = 0;  ///< type descriptors and their names: [types, etypes)
  std::uint64_t etypes = 0;
  std::uint64_t data = 0;  ///< variables: [data, data_end)
  std::uint64_t data_end = 0;
  std::uint64_t gofunc = 0;  ///< base of funcdata offsets; 0 in Go 1.17
};

/// Finds the moduledata whose first words describe `table`; nullopt when there is none. Looked for in the section
/// .go.module (1.26+), then at every pointer to the table in the writable segments and the relocations.
std::optional<ModuleData> find_module_data(const Image& image, const PclnTable& table, const ModuleLayout& layout);

}  // namespace mapwatch::elf
