#include <fmt/format.h>

#include "dossier/map_company_view.h"

namespace mapwatch::dossier {
namespace {

/// A line of its own, as in all tracebacks: `dossier export --redact` finds paths there.
std::string file_line(const std::optional<NamedFrame>& frame) {
  return frame ? fmt::format("          {}:{}\n", frame->file, frame->line) : "";
}

std::string rest(std::size_t left_out) { return left_out == 0 ? "" : fmt::format("  ... and {} more\n", left_out); }

std::string inside_text(const Shown<CompanyOperation>& inside) {
  std::string out;
  for (const CompanyOperation& one : inside.items) {
    out += fmt::format("  {}: {}\n      {}()\n{}", one.who, one.what,
                       one.place ? std::string_view(one.place->func) : kUnknownCode, file_line(one.place));
  }
  return out.empty() ? "  no other goroutine's stack is in an operation on it\n" : out + rest(inside.left_out);
}

std::string holders_text(const CompanyView& view) {
  std::string out = fmt::format("  stacks: {}\n", view.stack_count);
  for (const CompanyStacks& one : view.stacks.items) {
    out += fmt::format("    {}: {}\n{}", one.who, one.where, file_line(one.place));
  }
  out += rest(view.stacks.left_out);
  for (const std::string& one : view.registers) {
    out += fmt::format("  {}\n", one);
  }
  for (const std::string& one : view.variables.items) {
    out += fmt::format("  {}\n", one);
  }
  out += rest(view.variables.left_out);
  if (view.variables.items.empty()) {
    out += fmt::format("  {}\n", no_variable(view));
  }
  for (const std::string& part : view.not_searched) {
    out += fmt::format("  not searched: {}\n", part);
  }
  return out;
}

}  // namespace

std::string company_text(const CompanyView& view) {
  std::string out =
      fmt::format("Who else was on map {} when the process stood still:\n{}", view.map, inside_text(view.inside));
  if (!view.accesses.items.empty()) {
    out += fmt::format("Who used it before, {}:\n", kAccessesNoted);
    for (const std::string& one : view.accesses.items) {
      out += fmt::format("  {}\n", one);
    }
    out += rest(view.accesses.left_out);
  }
  return out + fmt::format("Who holds its address ({}):\n{}", kSearched, holders_text(view));
}

}  // namespace mapwatch::dossier
