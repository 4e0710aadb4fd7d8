#include "attach/own_text.h"

#include <unistd.h>

#include <algorithm>

#include "base/proc.h"

// Whole functions in assembly: what is probed is known to the byte, and no compiler moves or merges it. Each leaves the
// stack and the registers of its caller as they were.
asm(R"(
  .pushsection .text.mw_own, "ax", @progbits
  .macro mw_own_function name
  .p2align 4
  .globl \name
  .hidden \name
  .type \name, @function
  \name:
  .endm

  mw_own_function mw_own_nop
    nop
    ret
  mw_own_function mw_own_push
    push %rbp
    pop %rbp
    ret
  mw_own_function mw_own_jcc
    jbe 1f
  1:
    ret
  mw_own_function mw_own_empty
    ret
  mw_own_function mw_own_call
    call mw_own_empty
    ret
  mw_own_function mw_own_entry
    sub $0x58, %rsp
    add $0x58, %rsp
    ret
  .purgem mw_own_function
  .popsection
)");

extern "C" {
void mw_own_nop();
void mw_own_push();
void mw_own_jcc();
void mw_own_call();
void mw_own_entry();
}

namespace mapwatch::attach {

namespace {

OwnSite at(void (*function)()) { return {reinterpret_cast<std::uintptr_t>(function), function}; }

}  // namespace

const BySiteClass<OwnSite>& own_sites() {
  static const BySiteClass<OwnSite> sites = [] {
    BySiteClass<OwnSite> all;
    all[MW_SITE_NONE] = at(mw_own_nop);
    all[MW_SITE_PUSH] = at(mw_own_push);
    all[MW_SITE_JCC] = at(mw_own_jcc);
    all[MW_SITE_CALL] = at(mw_own_call);
    all[MW_SITE_ENTRY] = at(mw_own_entry);
    return all;
  }();
  return sites;
}

Result<BySiteClass<std::uint64_t>> own_file_offsets() {
  const auto maps = TRY(proc::ProcFs().maps(static_cast<int>(::getpid())));
  BySiteClass<std::uint64_t> offsets = {};
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const std::uint64_t address = own_sites()[i].address;
    const auto holds = [address](const proc::MapEntry& entry) {
      return entry.executable && entry.start <= address && address < entry.end;
    };
    const auto entry = std::ranges::find_if(maps, holds);
    if (entry == maps.end()) {
      return fail(ErrorKind::kFailed, "self-test: mapwatch's own text is not in /proc/self/maps");
    }
    offsets[i] = address - entry->start + entry->offset;
  }
  return offsets;
}

}  // namespace mapwatch::attach
