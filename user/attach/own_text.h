// mapwatch's own text as a place to probe: what a kernel does is found out on mapwatch itself, never on a target.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "mapwatch/abi.h"

namespace mapwatch::attach {

/// Values by mw_site_class.
template <typename T>
using BySiteClass = std::array<T, MW_SITE_ENTRY + 1>;

/// An instruction that self-tests probe, in a function that does nothing else.
struct OwnSite {
  std::uint64_t address = 0;
  void (*run)() = nullptr;  ///< runs it once
};

/// By mw_site_class: an instruction of the kind that a probe of that class sits on in a Go program. MW_SITE_ENTRY is
/// what starts runtime.throw and runtime.fatal before Go 1.21 (both are go:nosplit: no stack check). MW_SITE_NONE: a
/// nop.
const BySiteClass<OwnSite>& own_sites();
/// Their offsets in /proc/self/exe, as the kernel wants them. kFailed when /proc/self/maps does not show one.
Result<BySiteClass<std::uint64_t>> own_file_offsets();

}  // namespace mapwatch::attach
