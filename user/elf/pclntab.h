// The table that Go's runtime finds functions, files and lines by (.gopclntab), in the layouts of Go 1.16 to 1.27.
// Sources: runtime/symtab.go, runtime/runtime2.go (_func), debug/gosym/pclntab.go of those versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// Named by the first Go version that wrote it.
enum class PclnLayout {
  k116,  ///< magic 0xfffffffa: absolute entries; 1.16 and 1.17
  k118,  ///< magic 0xfffffff0: entries relative to the text start; 1.18 and 1.19
  k120,  ///< magic 0xfffffff1: start line in _func, inline entries of 16 bytes; from 1.20
};

/// The fields of runtime._func that frames need.
struct FuncRecord {
  std::uint32_t pcsp = 0;    ///< pctab offset of the stack pointer's distances; 0: none (C code)
  std::uint8_t func_id = 0;  ///< abi.FuncID; the numbers differ by version
  std::uint8_t flags = 0;    ///< abi.FuncFlag: kTopFrame, kWritesSp, kAssembly
  std::uint32_t pcfile = 0;
  std::uint32_t pcln = 0;
  std::uint32_t cu_offset = 0;
  std::optional<std::uint32_t> pc_inline;  ///< pctab offset of PCDATA_InlTreeIndex
  /// FUNCDATA_InlTree: an address (k116) or an offset from moduledata.gofunc.
  std::optional<std::uint64_t> inline_tree;
};

/// abi.FuncFlag (internal/abi/symtab.go; kAssembly from Go 1.18 on).
enum FuncFlag : std::uint8_t { kTopFrame = 1, kWritesSp = 2, kAssembly = 4 };

class PclnTable {
 public:
  /// Reads the header at `address`; kMalformed when it is not one. The bytes stay those of `image`.
  static Result<PclnTable> parse(const Image& image, std::uint64_t address);

  PclnLayout layout() const { return layout_; }
  std::uint64_t address() const { return address_; }
  /// Absolute addresses of subtables, to know the moduledata by.
  std::uint64_t names_address() const { return address_ + names_offset_; }
  std::uint64_t functions_address() const { return address_ + functions_offset_; }
  /// Behind the last function's record. Up to Go 1.17 each record holds the address of its function.
  std::uint64_t end_address() const;
  /// What function entries are relative to, from the header; 0 when it is not stored there (k116, Go 1.26+).
  std::uint64_t header_text_start() const { return text_start_; }

  /// All functions by entry. kMalformed when the table is truncated, unordered or points outside of the code.
  Result<std::vector<Function>> functions(const Image& image, std::uint64_t text_start) const;
  /// The _func of functions()[index].
  std::optional<FuncRecord> record(const Image& image, std::size_t index) const;
  std::optional<std::string_view> name(std::int32_t offset) const;
  /// Path of file number `file` of the compilation unit at `cu_offset`.
  std::optional<std::string_view> file(std::uint32_t cu_offset, std::int64_t file) const;
  /// The value of the pc-value table at `offset` for `distance` bytes after the function's entry; nullopt when it has
  /// none. `steps` bounds the work and counts down.
  std::optional<std::int32_t> value(std::uint32_t offset, std::uint64_t distance, std::size_t& steps) const;

 private:
  PclnTable() = default;
  std::uint64_t functab_entry_size() const { return layout_ == PclnLayout::k116 ? 16 : 8; }
  std::optional<std::uint64_t> func_offset(std::size_t index) const;
  /// A _func's words before its tables of pcdata and funcdata.
  struct Head {
    std::int32_t name_offset, args;
    std::uint32_t deferreturn, pcsp, pcfile, pcln, npcdata, cu_offset;
    std::uint8_t func_id, flags, nfuncdata;
    std::uint64_t tables;  ///< offset in functions_
  };
  std::optional<Head> head(std::size_t index) const;

  PclnLayout layout_ = PclnLayout::k120;
  std::uint64_t address_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t text_start_ = 0;
  std::uint64_t names_offset_ = 0;
  std::uint64_t functions_offset_ = 0;
  Bytes names_;
  Bytes units_;
  Bytes files_;
  Bytes values_;
  Bytes functions_;
};

/// Addresses where a pclntab may start, best first: the sections that Go's linkers name, then 8-aligned magics in the
/// segments (externally linked PIE before 1.26 has no section of its own). At most `limit`.
std::vector<std::uint64_t> pclntab_candidates(const Image& image, std::size_t limit);

}  // namespace mapwatch::elf
