#include "dossier/report_html.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "base/sha256.h"
#include "dossier/goroutine_html.h"
#include "dossier/map_svg.h"
#include "dossier/map_text.h"
#include "dossier/markup.h"
#include "dossier/timeline_files.h"
#include "report/format.h"

namespace mapwatch::dossier {
namespace {

using report::AccessReport;
using report::CrashReport;

constexpr std::string_view kStyle =
#include "dossier/report_html_style.inc"
    ;
constexpr std::string_view kScript =
#include "dossier/report_html_script.inc"
    ;
constexpr std::size_t kMostNotes = 50;
constexpr std::size_t kLongestName = 500;

std::string section(std::string_view id, std::string_view title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, title, body);
}

/// A row of a list of facts; `text` becomes markup here.
std::string fact(std::string_view name, std::string_view text) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", markup(name), markup(text));
}

std::string frame_item(const symbolize::Frame& frame, std::string_view attributes) {
  return fmt::format("<li{}><code>{}()</code><span class=\"at\">{}:{} +0x{:x}</span></li>\n", attributes,
                     markup(frame.func, kLongestName), markup(report::shown_file(frame, {}), kLongestName), frame.line,
                     frame.offset);
}

std::string stack_list(const std::vector<symbolize::Frame>& stack, bool cut, std::string_view remark) {
  std::string out = "<ol class=\"stack\">\n";
  for (const symbolize::Frame& frame : stack) {
    out += frame_item(frame, frame.user ? " class=\"user\"" : frame.runtime ? " class=\"runtime\"" : "");
  }
  out += "</ol>\n";
  if (cut) {
    out += "<p class=\"remark\">stack cut here</p>\n";
  }
  return remark.empty() ? out : out + fmt::format("<p class=\"remark\">{}</p>\n", remark);
}

std::string created(const std::optional<symbolize::Frame>& frame) {
  return frame ? "<h4>created at</h4>\n<ol class=\"stack\">\n" + frame_item(*frame, "") + "</ol>\n" : "";
}

std::string side(std::string_view what, std::string_view by, std::string_view remark, const std::string& body) {
  std::string heading(what);
  heading[0] = static_cast<char>(heading[0] >= 'a' && heading[0] <= 'z' ? heading[0] - 'a' + 'A' : heading[0]);
  return fmt::format("<article>\n<h3>{} by {}</h3>\n<p class=\"remark\">{}</p>\n{}</article>\n", heading, markup(by),
                     markup(remark), body);
}

std::string goroutine_words(std::uint64_t goid, std::uint32_t tid) {
  return tid == 0 ? fmt::format("goroutine {}", goid) : fmt::format("goroutine {}, thread {}", goid, tid);
}

std::string crashing_side(const CrashReport& crash) {
  const bool of_map = crash.op != MW_OP_NONE;
  return side(of_map ? report::op_noun(crash.op) : "fatal error", goroutine_words(crash.goid, crash.tid),
              of_map ? "the side that crashes: all that Go prints" : "the crashing goroutine",
              stack_list(crash.stack, crash.stack_cut, crash.stack.empty() ? "stack not captured" : "") +
                  created(crash.created_by));
}

std::string other_side(const CrashReport& crash) {
  if (!crash.other) {
    return side("write", "an unknown goroutine", report::kNoWriter, "");
  }
  const AccessReport& other = *crash.other;
  const bool recorded = other.attribution == correlate::Attribution::kLastWriter;
  return side(report::op_noun(other.op), goroutine_words(other.goid, other.tid),
              fmt::format("what Go does not print; {}", report::how_known(crash)),
              stack_list(other.stack, other.stack_cut,
                         other.stack.empty() ? "stack not captured"
                         : recorded          ? report::kOneFrame
                                             : "") +
                  created(other.created_by));
}

std::string sides(const CrashReport& crash) {
  std::string out = "<div class=\"sides\">\n";
  if (crash.op == MW_OP_NONE) {
    out += crashing_side(crash);
  } else if (crash.other) {
    out += other_side(crash) + crashing_side(crash);
  } else {
    out += crashing_side(crash) + other_side(crash);
  }
  return out + "</div>\n";
}

std::string summary(const CrashReport& crash) {
  std::string out = "<dl>\n" + fact("process", report::process_text(crash.process));
  if (crash.map.addr != 0) {
    out += fact("map", fmt::format("{} at {}{}", crash.map.type.empty() ? "type unknown" : crash.map.type,
                                   report::padded_address(crash.map.addr),
                                   crash.map.len ? fmt::format(", len {}", *crash.map.len) : ""));
  }
  if (crash.op != MW_OP_NONE) {
    out += fact("warned", report::warned_text(crash));
  }
  out += fact("finding", fmt::format("{} class={}", crash.id, crash.crash_class));
  if (crash.frozen_ns) {
    out += fact("frozen", "for " + report::human_duration(*crash.frozen_ns));
  }
  if (crash.op != MW_OP_NONE) {
    out += fact("next", report::advice(crash.stack));
  }
  return out + "</dl>\n";
}

std::string finding_item(const forensics::MapFinding& finding) {
  const forensics::DefectText& text = forensics::describe(finding.defect);
  std::string out = fmt::format("<li><b>{}</b> ({}): {}<br>how: {}", text.code, grouped(finding.count),
                                markup(text.meaning), markup(text.cause));
  if (finding.explained_by_write) {
    out += fmt::format("<br>{}", kExplainedByWrite);
  }
  for (const forensics::DefectExample& example : finding.examples) {
    out += fmt::format("<br><code>{:#x} {}</code>", example.address, markup(example.text, 300));
  }
  return out + "</li>\n";
}

std::string map_part(const forensics::MapPicture& picture) {
  std::string out = fmt::format("<p><code>{}</code></p>\n<dl>\n", markup(map_title(picture)));
  for (const MapFact& one : map_facts(picture)) {
    out += fact(one.name, one.text);
  }
  out += "</dl>\n";
  if (!picture.findings.empty()) {
    out += "<ul class=\"findings\">\n";
    for (const forensics::MapFinding& finding : picture.findings) {
      out += finding_item(finding);
    }
    out += "</ul>\n";
  }
  return out + "<div class=\"wide\">\n" + map_svg(picture, SvgUse::kInPage) + "</div>\n";
}

std::string notes(const std::vector<std::string>& notes) {
  std::string out;
  for (std::size_t i = 0; i < std::min(notes.size(), kMostNotes); ++i) {
    out += fmt::format("<li>{}</li>\n", markup(notes[i], kLongestName));
  }
  return out.empty() ? ""
                     : fmt::format("<section id=\"notes\">\n<h2>Not complete</h2>\n<ul>\n{}</ul>\n</section>\n", out);
}

std::string head(const CrashReport& crash) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; "
      "script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}: {}, PID {}</title>\n<style>{}</style>\n</head>\n",
      sha256_base64(kStyle), sha256_base64(kScript), markup(crash.reason, 200), markup(crash.process.exe, 200),
      crash.process.pid, kStyle);
}

}  // namespace

std::string report_html(const PageFacts& facts) {
  const CrashReport& crash = facts.report;
  std::string out = head(crash);
  out += fmt::format(
      "<body>\n<header>\n<h1>fatal error: {}</h1>\n<p>{} &middot; PID {} &middot; {}</p>\n</header>\n<main>\n",
      markup(crash.reason), markup(crash.process.exe), crash.process.pid, rfc3339(crash.wall_ns));
  out +=
      section("sides", crash.op == MW_OP_NONE ? "The crashing goroutine" : "Both sides", sides(crash) + summary(crash));
  out += notes(facts.notes);
  if (facts.company != nullptr) {
    out += section("company", "Who else was on the map when the process stood still", company_html(*facts.company));
  }
  out += section("timeline", "Timeline (UTC)", std::string(kTimelineSlot) + "\n");
  if (facts.map != nullptr) {
    out += section("map", "The map", map_part(*facts.map));
  }
  if (facts.goroutines != nullptr && facts.groups != nullptr && facts.names != nullptr) {
    out += section("goroutines", "Goroutines", goroutines_html(facts));
    out += section("scheduler", "The scheduler at that moment", scheduler_html(facts));
  }
  return out + fmt::format(
                   "</main>\n<footer>mapwatch {}. This page loads nothing from elsewhere.</footer>\n"
                   "<script>{}</script>\n</body>\n</html>\n",
                   MAPWATCH_VERSION, kScript);
}

}  // namespace mapwatch::dossier
