// What report.txt and report.html say of a map's company: sentences, grouped and cut in one way for both.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dossier/map_company.h"

namespace mapwatch::dossier {

/// A list as far as it is shown. Its texts are fit for a terminal, not for HTML.
template <typename T>
struct Shown {
  std::vector<T> items;
  std::size_t left_out = 0;
};

/// A goroutine whose stack is in an operation on the map.
struct CompanyOperation {
  std::string who;   ///< "goroutine 7 [running], thread 107"
  std::string what;  ///< "inside its write, begun 3.1us before the crash; a probe saw the call begin"
  bool certain = true;
  std::optional<NamedFrame> place;  ///< the code that called it; none: not known
};

/// Words of stacks at one place: what workers of one kind hold is one item.
struct CompanyStacks {
  std::string who;                  ///< "goroutines 7, 8, 9"
  std::string where;                ///< "sp+0x48 of main.main(), word 1 of the arguments of main.put()"
  std::optional<NamedFrame> place;  ///< of `where`; none: its code is not known
};

struct CompanyView {
  std::string map;                 ///< its address
  Shown<CompanyOperation> inside;  ///< without the crashing goroutine
  Shown<std::string> accesses;
  std::string stack_count;  ///< "5 words of 2 goroutines"
  Shown<CompanyStacks> stacks;
  std::vector<std::string> registers;
  Shown<std::string> variables;
  std::vector<std::string> not_searched;  ///< beside the heap
};

CompanyView company_view(const MapCompany& company);

constexpr std::string_view kUnknownCode = "code that is not known";
/// About `accesses`.
constexpr std::string_view kAccessesNoted =
    "as mapwatch's probes noted it (a goroutine that ended may have left its place to the one named)";
/// About the rest.
constexpr std::string_view kSearched = "stacks, registers and variables; the heap was not searched";
/// In place of no `variables`.
std::string_view no_variable(const CompanyView& view);

/// The section of report.txt. What is not certain says so.
std::string company_text(const CompanyView& view);
/// The body of the section of report.html, likewise.
std::string company_html(const CompanyView& view);

}  // namespace mapwatch::dossier
