// An ELF core file: what a kernel, gcore or Delve wrote of a process. Every byte of it is hostile.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "forensics/memory.h"
#include "forensics/registers.h"

namespace mapwatch::forensics {

class CoreMemory : public Memory {
 public:
  /// `core` and `executable` (whole files) must outlive the value. Ranges that the core maps from the program's file
  /// and does not hold are read from `executable`. Errors: kMalformed, kUnsupported (not an amd64 core).
  static Result<CoreMemory> parse(Bytes core, Bytes executable);

  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override;
  std::span<const Mapping> mappings() const override { return mappings_; }

  const RegisterMap& registers() const { return registers_; }
  /// Path of the program's file as the process had it; empty when the core does not tell.
  const std::string& executable_path() const { return executable_path_; }
  /// Address in the process = the file's + this: AT_ENTRY less the executable's entry point. (NT_FILE would tell, too,
  /// but Delve writes none: pkg/proc/native/dump_linux_amd64.go, 1.27.) Errors: kMalformed, when the core has no
  /// AT_ENTRY or is of another program.
  Result<std::uint64_t> load_bias() const;

 private:
  /// Memory from `begin` on, with these bytes.
  struct Piece {
    std::uint64_t begin = 0;
    Bytes bytes;
  };
  CoreMemory() = default;
  void read_notes(Bytes notes);
  void read_registers(Bytes note);
  void read_files(Bytes note);
  void fill_from(Bytes executable);
  void fill_from_segments(Bytes executable);

  std::vector<Piece> pieces_;  ///< by address, dumped ones before those from the file
  std::vector<Mapping> mappings_;
  std::vector<Mapping> files_;  ///< as NT_FILE has them
  RegisterMap registers_;
  std::uint64_t entry_ = 0;       ///< AT_ENTRY
  std::uint64_t file_entry_ = 0;  ///< of the executable
  std::string executable_path_;
};

}  // namespace mapwatch::forensics
