// A Go process that is all made up: the binary is a real one, its memory is what a test writes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elf/go_binary.h"
#include "elf/go_program.h"
#include "elf/mapped_file.h"
#include "forensics/goroutine_copy.h"
#include "forensics/goroutine_decode.h"
#include "forensics/snapshot_memory.h"

namespace mapwatch::test {

class FakeProcess {
 public:
  static constexpr std::uint64_t kHeap = 0xc000000000;
  static constexpr std::uint64_t kArray = kHeap + 0x100000;
  static constexpr std::uint64_t kMs = kHeap + 0x200000;
  static constexpr std::uint64_t kGs = kHeap + 0x300000;
  static constexpr std::uint64_t kStacks = kHeap + 0x1000000;
  static constexpr std::uint64_t kStackSize = 0x1000;

  FakeProcess() : file_(open()), binary_(std::move(*elf::GoBinary::parse(file_->bytes()))) {
    process_ = forensics::GoProcess::of(binary_, 0);
    memory_.add(process_.globals.sched, std::vector<std::uint8_t>(8192));
    memory_.add(process_.globals.gcphase, std::vector<std::uint8_t>(8));
    memory_.add(process_.globals.allp, std::vector<std::uint8_t>(24));
    put(process_.globals.allp, kHeap);
  }

  const elf::GoBinary& binary() const { return binary_; }
  forensics::GoProcess& process() { return process_; }
  const elf::GLayout& g() const { return process_.layout.g; }
  const elf::MLayout& m() const { return process_.layout.m; }
  forensics::SnapshotMemory& memory() { return memory_; }

  /// A g with its stack, parked; its frames are those of `pcs`, innermost first.
  std::uint64_t add_goroutine(std::uint64_t id, std::uint32_t status, const std::vector<std::uint64_t>& pcs) {
    const std::uint64_t address = kGs + 0x1000 * gs_.size();
    const std::uint64_t low = kStacks + 0x10000 * gs_.size();
    memory_.add(address, std::vector<std::uint8_t>(0x1000));
    memory_.add(low, std::vector<std::uint8_t>(kStackSize));
    put(address + g().stack, low);
    put(address + g().stack + 8, low + kStackSize);
    put(address + g().goid, id);
    memory_.put<std::uint32_t>(address + g().status, status);
    std::uint64_t sp = low + 0x100;
    put(address + g().sched, sp);
    put(address + g().sched + 8, pcs.empty() ? 0 : pcs.front());
    for (std::size_t i = 0; i < pcs.size(); ++i) {
      sp += binary_.unwind_row(pcs[i])->sp_delta.value_or(0);
      put(sp, i + 1 < pcs.size() ? pcs[i + 1] : 0);
      sp += 8;
    }
    gs_.push_back(address);
    list();
    return address;
  }

  /// An m with a g0, at the end of the list.
  std::uint64_t add_machine(std::uint64_t thread) {
    const std::uint64_t address = kMs + 0x4000 * machines_;
    memory_.add(address, std::vector<std::uint8_t>(0x4000));
    put(address + m().g0, address + 0x3000);
    put(address + 0x3000 + g().m, address);
    put(address + m().procid, thread);
    put(address + m().id, machines_);
    if (machines_ == 0) {
      put(process_.globals.allm, address);
    } else {
      put(address - 0x4000 + m().alllink, address);
    }
    ++machines_;
    return address;
  }

  void put(std::uint64_t address, std::uint64_t value) { memory_.put(address, value); }

  /// Writes allgs anew.
  void list() {
    for (std::size_t i = 0; i < gs_.size(); ++i) {
      put(kArray + 8 * i, gs_[i]);
    }
    set_list(kArray, gs_.size());
  }
  void set_list(std::uint64_t array, std::uint64_t count) {
    put(process_.globals.allgs, array);
    put(process_.globals.allgs + 8, count);
    put(process_.globals.allgs + 16, count);
    put(process_.globals.allgptr, array);
    put(process_.globals.allglen, count);
  }

  /// An address in the middle of a function, at a place where its frame is set up.
  std::uint64_t inside(const std::string& name) const {
    const auto function = binary_.find(name);
    std::uint64_t best = function->entry;
    std::uint32_t depth = 0;
    for (std::uint64_t pc = function->entry; pc < function->end; ++pc) {
      const auto row = binary_.unwind_row(pc);
      if (row && row->sp_delta.value_or(0) > depth) {
        depth = *row->sp_delta;
        best = pc;
      }
    }
    return best + 1;
  }

  Result<forensics::Goroutines> read(forensics::RegisterMap registers = {}, const forensics::CopyLimits& limits = {}) {
    const auto copy = forensics::copy_goroutines(memory_, process_, std::move(registers), limits);
    if (!copy) {
      return tl::unexpected(copy.error());
    }
    return forensics::decode_goroutines(*copy, process_);
  }

 private:
  static std::unique_ptr<elf::MappedFile> open() {
    return std::make_unique<elf::MappedFile>(std::move(*elf::MappedFile::open(built_program(build_mode("plain")))));
  }

  std::unique_ptr<elf::MappedFile> file_;
  elf::GoBinary binary_;
  forensics::GoProcess process_;
  forensics::SnapshotMemory memory_;
  std::vector<std::uint64_t> gs_;
  std::uint64_t machines_ = 0;
};

}  // namespace mapwatch::test
