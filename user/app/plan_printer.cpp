#include "app/plan_printer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "base/write_all.h"
#include "report/format.h"

namespace mapwatch::app {

namespace {

using Json = nlohmann::ordered_json;

/// Function names are the target's own bytes; JSON wants UTF-8.
std::string line(const Json& object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string_view op_text(mw_op op) {
  switch (op) {
    case MW_OP_FATAL:
      return "fatal";
    case MW_OP_THROW:
      return "throw";
    default:
      return report::op_word(op);
  }
}

std::string_view class_name(mw_site_class site_class) {
  switch (site_class) {
    case MW_SITE_PUSH:
      return "push";
    case MW_SITE_JCC:
      return "jcc";
    case MW_SITE_CALL:
      return "call";
    case MW_SITE_ENTRY:
      return "entry";
    case MW_SITE_NONE:
      break;
  }
  return "none";
}

std::string_view arg_name(mw_arg arg) {
  switch (arg) {
    case MW_ARG_FUNC:
      return "func";
    case MW_ARG_METHOD:
      return "method";
    case MW_ARG_ITER:
      return "iter";
    case MW_ARG_ITER_INIT:
      return "iter_init";
    case MW_ARG_NONE:
      break;
  }
  return "none";
}

}  // namespace

std::string plan_text(const attach::Plan& plan) {
  std::string text = fmt::format("{:<8} {:<18} {:>6} {:<6} {}\n", "OP", "ADDRESS", "OFFSET", "INSN", "FUNCTION");
  for (const attach::ProbeSpec& probe : plan.probes) {
    text += fmt::format("{:<8} {:<18} {:>6} {:<6} {}{}\n", op_text(probe.op), fmt::format("{:#x}", probe.address),
                        fmt::format("+{:#x}", probe.address - probe.entry), probe.instruction, escape(probe.function),
                        probe.emulated ? "" : "  (single-stepped)");
  }
  text += fmt::format("{} probes, {} functions without one\n", plan.probes.size(), plan.omissions.size());
  for (const attach::Omission& omission : plan.omissions) {
    text += fmt::format("  {}: {}\n", escape(omission.function), escape(omission.reason));
  }
  return text;
}

std::string plan_json(const attach::Plan& plan) {
  std::string text;
  for (const attach::ProbeSpec& probe : plan.probes) {
    text += line({{"schema_version", 1},
                  {"kind", "probe"},
                  {"op", op_text(probe.op)},
                  {"function", probe.function},
                  {"offset", probe.address - probe.entry},
                  {"address", fmt::format("{:#x}", probe.address)},
                  {"file_offset", probe.file_offset},
                  {"class", class_name(probe.site_class)},
                  {"instruction", probe.instruction},
                  {"emulated", probe.emulated},
                  {"arg", arg_name(probe.arg)}});
  }
  for (const attach::Omission& omission : plan.omissions) {
    text += line(
        {{"schema_version", 1}, {"kind", "omission"}, {"function", omission.function}, {"reason", omission.reason}});
  }
  return text;
}

Result<void> print_plan(const attach::Plan& plan, bool json) {
  return write_all(STDOUT_FILENO, json ? plan_json(plan) : plan_text(plan), "stdout");
}

}  // namespace mapwatch::app
