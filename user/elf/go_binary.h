// A Go executable as a value: everything mapwatch needs to know of a binary, read from its bytes. No process, no
// BPF, no printing. Addresses are the file's own virtual addresses (load bias 0).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace mapwatch::elf {

/// go1.NN.P as the linker wrote it into build info. `text` keeps suffixes ("go1.24.13 X:noswissmap").
struct GoVersion {
  int minor = 0;  ///< 22 of go1.22.12
  int patch = 0;  ///< 12 of go1.22.12; 0 when absent (rc, devel)
  std::string text;
  bool development = false;  ///< between releases ("devel go1.28-8e63aa6", "go1.25-20250209"): layouts may differ
};

enum class MapKind {
  kBuckets,  ///< runtime.hmap: Go <= 1.23, and GOEXPERIMENT=noswissmap
  kSwiss,    ///< internal/runtime/maps.Map: Go >= 1.24
};

/// Where the offsets of runtime structs come from.
enum class OffsetSource {
  kDwarf,
  kTable,       ///< go_offsets.json, entry of this minor version
  kUnverified,  ///< newer than the table, or a development version: the nearest entry; shown as "unverified go1.NN"
};

/// Byte offsets of runtime structs that the detector and the reports need.
struct Offsets {
  OffsetSource source = OffsetSource::kTable;
  std::uint32_t g_goid = 0;
  std::uint32_t g_gopc = 0;
  std::uint32_t g_m = 0;
  std::uint32_t g_stack_lo = 0;
  std::uint32_t g_stack_hi = 8;
  std::uint32_t m_curg = 0;
  std::uint32_t map_mark = 0;       ///< hmap.flags or Map.writing
  std::uint32_t map_mark_mask = 0;  ///< 0x04 or 0xff
  std::uint32_t map_len = 0;        ///< hmap.count or Map.used, 8 bytes
  std::uint32_t map_seed = 0;       ///< hmap.hash0, 4 bytes, or Map.seed, 8
  std::uint32_t iter_map = 0;       ///< hiter.h or Iter.m
  std::uint32_t iter_type = 0;      ///< hiter.t or Iter.typ
};

struct RuntimeLayout;   // elf/runtime_layout.h
struct RuntimeGlobals;  // elf/runtime_globals.h

/// One function of pclntab: [entry, end).
struct Function {
  std::uint64_t entry = 0;
  std::uint64_t end = 0;
  std::string_view name;  ///< as pclntab has it; lives as long as the GoBinary
};

/// One source frame. Innermost first in a chain: inlined callees, then the function that holds the code.
struct SourceFrame {
  std::string func;  ///< as Go's tracebacks write it: full import path, "[...]" for type arguments
  std::string file;
  int line = 0;
  bool inlined = false;
  std::uint64_t entry = 0;  ///< of the physical function
  bool wrapper = false;     ///< a method wrapper made by the compiler, which Go's tracebacks leave out
};

/// What unwinding a frame needs to know of the instruction it stands at.
struct UnwindRow {
  Function function;
  std::optional<std::uint32_t> sp_delta;  ///< SP + this is where the return address lies; absent: unknown code
  bool top = false;                       ///< nothing called this function (runtime.goexit)
  bool writes_sp = false;                 ///< switches stacks by hand: sp_delta may lie
  bool assembly = false;                  ///< need not keep a frame pointer (known from Go 1.18 on)
};

struct BuildTraits {
  bool stripped = false;  ///< no .symtab
  bool pie = false;
  bool cgo = false;  ///< links C code (runtime/cgo is in pclntab)
  bool dwarf = false;
  bool race = false;  ///< built with -race
};

/// Addresses [begin, end) of the file.
struct AddressRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Bytes of the file and where they are mapped.
struct MappedBytes {
  std::uint64_t address = 0;
  Bytes bytes;
};

/// A word at `address` that holds the address `target`.
struct Pointer {
  std::uint64_t address = 0;
  std::uint64_t target = 0;
};

/// What a word of a program's own memory belongs to.
struct Variable {
  std::string section;       ///< ".bss"; empty: the file has no section headers
  std::string name;          ///< as the symbol table has it, "main.cache"; empty: stripped, or not a variable's
  std::uint64_t offset = 0;  ///< into the named one
};

class GoBinary {
 public:
  /// Reads `file` (a whole ELF file), which must outlive the value. Errors: kMalformed (not ELF, truncated, no Go
  /// pclntab, UPX-packed), kUnsupported (32-bit, not amd64, Go < 1.17), each naming what was found.
  static Result<GoBinary> parse(Bytes file);

  GoBinary(GoBinary&&) noexcept;
  GoBinary& operator=(GoBinary&&) noexcept;
  ~GoBinary();

  const GoVersion& version() const;
  const BuildTraits& traits() const;
  MapKind map_kind() const;
  /// From DWARF when there is some, else from the table. The DWARF is read at the first call, which may take 20 ms. Any
  /// thread.
  const Offsets& offsets() const;
  /// True when version() is newer than the newest table entry, or between releases.
  bool unverified() const;
  /// GNU build id as hex, else the Go build id, else empty.
  const std::string& build_id() const;
  /// Main module or package path from build info ("example.com/app"), may be empty.
  const std::string& main_path() const;

  /// What the value takes of the heap, about. The bytes of the file are not in it.
  std::size_t heap_bytes() const;
  /// All functions, by entry.
  std::span<const Function> functions() const;
  /// The function of that exact pclntab name.
  std::optional<Function> find(std::string_view name) const;
  /// The function that covers `address`.
  std::optional<Function> at(std::uint64_t address) const;
  /// The bytes of [begin, end) as in the file; nullopt unless all are in one executable segment.
  std::optional<Bytes> code(std::uint64_t begin, std::uint64_t end) const;
  /// File offset of a virtual address in an executable segment (what a uprobe is attached by).
  std::optional<std::uint64_t> file_offset(std::uint64_t address) const;
  /// The segments that are mapped executable.
  std::vector<MappedBytes> executable_segments() const;
  /// For each of `targets` (ascending) that has one the first word of the program's data, as relocated, that holds it.
  /// The functions' code, pclntab, which names every function, and the relocations are not looked at. kMalformed beyond
  /// 1 GiB of data.
  Result<std::vector<Pointer>> pointers_to(std::span<const std::uint64_t> targets) const;
  /// The lowest page-aligned PT_LOAD address: load bias = where the first segment is mapped - this.
  std::uint64_t first_load_address() const;

  /// How to unwind a frame that stands at `address`, which is a return address as it is, or any instruction. nullopt
  /// when no function covers it. Source: runtime/traceback.go (resolveInternal), runtime/symtab.go (funcspdelta).
  std::optional<UnwindRow> unwind_row(std::uint64_t address) const;
  /// Where the fields of the scheduler's structs lie: from DWARF when there is some, else from the table. Reads the
  /// DWARF anew each time.
  RuntimeLayout runtime_layout() const;
  /// Where the scheduler's variables lie: from the symbol table, else from code that refers to them.
  RuntimeGlobals runtime_globals() const;

  /// Source frames of the instruction at `address`, innermost first, inlining expanded. Pass return addresses - 1.
  /// Empty when no function covers it.
  std::vector<SourceFrame> frames(std::uint64_t address) const;
  /// Name of the type whose descriptor is at `address` ("map[string]*main.Session"); kMalformed when it is not one.
  Result<std::string> type_name(std::uint64_t address) const;
  /// Where variables lie: the writable segments.
  std::vector<AddressRange> variable_ranges() const;
  /// The variable at `address`. Reads the symbol table anew each time.
  Variable variable_at(std::uint64_t address) const;
  /// Functions that refer to `address`, at most `most`: what names a variable of a stripped program. Looks through all
  /// code, some 10 ms for 16 MB.
  std::vector<Function> functions_referring_to(std::uint64_t address, std::size_t most) const;
  /// Where the type descriptors and their names lie (moduledata.types, .etypes); nullopt without moduledata.
  std::optional<AddressRange> type_range() const;

 private:
  struct Impl;
  explicit GoBinary(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Build info alone, for `ls`: cheap, and says "not Go" (kMalformed) for other files.
struct BuildInfo {
  GoVersion version;
  std::string path;                                           ///< package path of main
  std::vector<std::pair<std::string, std::string>> settings;  ///< "build" lines: -ldflags, GOARCH, ...
};
Result<BuildInfo> read_build_info(Bytes file);
/// GoBinary::build_id() alone; empty when there is none, or the file is no ELF file.
std::string read_build_id(Bytes file);

}  // namespace mapwatch::elf
