#include "dossier/goroutine_html.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "dossier/map_text.h"
#include "dossier/markup.h"
#include "dossier/traceback.h"
#include "symbolize/classify.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;

constexpr std::size_t kMostGroups = 500;
constexpr std::size_t kMostBytes = std::size_t{2} << 20;
constexpr std::size_t kMostStack = std::size_t{64} << 10;
constexpr std::size_t kMostTable = std::size_t{256} << 10;
constexpr std::size_t kMostRanges = 200;

/// "7-412,500": ids of the members, ascending. Its end says when there are more.
std::string id_ranges(const GoroutineGroup& group) {
  std::string out;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < group.members.size();) {
    std::size_t last = i;
    while (last + 1 < group.members.size() && group.members[last + 1]->id == group.members[last]->id + 1) {
      ++last;
    }
    if (ranges++ == kMostRanges) {
      return out + ", ...";
    }
    out += fmt::format("{}{}", out.empty() ? "" : ", ", group.members[i]->id);
    if (last != i) {
      out += fmt::format("-{}", group.members[last]->id);
    }
    i = last + 1;
  }
  return out;
}

/// Where these goroutines are, in one name: the innermost function of the program's own, else the innermost but the
/// runtime's.
std::string place(const GoroutineGroup& group, const PageFacts& facts) {
  std::string standard;
  for (const forensics::Frame& frame : group.one().frames) {
    for (const NamedFrame& named : facts.names->of(frame)) {
      if (!symbolize::is_standard(named.func, facts.main_path)) {
        return named.func;
      }
      if (standard.empty() && !symbolize::is_runtime(named.func)) {
        standard = named.func;
      }
    }
  }
  return standard;
}

/// `text` up to its last whole line within `limit`.
std::string_view whole_lines(std::string_view text, std::size_t limit) {
  return text.size() <= limit ? text : text.substr(0, text.rfind('\n', limit - 1) + 1);
}

std::string tag(const GoroutineGroup& group, const report::CrashReport& crash) {
  std::string out;
  if (crash.goid != 0 && group.has(crash.goid)) {
    out += " <span class=\"tag\">crashes</span>";
  }
  if (crash.other && crash.other->goid != 0 && group.has(crash.other->goid)) {
    out += " <span class=\"tag\">the other side</span>";
  }
  return out;
}

std::string group_item(const GoroutineGroup& group, const PageFacts& facts) {
  const std::string tags = tag(group, facts.report);
  const std::string stack = group_stack(group, *facts.names, {});
  const std::string_view shown = whole_lines(stack, kMostStack);
  return fmt::format(
      "<details{}><summary>{} <code>{}</code>{}</summary>\n<p class=\"remark\">goroutine <span "
      "class=\"ids\">{}</span></p>\n<pre>{}{}</pre></details>\n",
      tags.empty() ? "" : " open", markup(group_heading(group, facts.names->go_minor())),
      markup(place(group, facts), 300), tags, id_ranges(group), markup_lines(shown),
      shown.size() == stack.size() ? "" : "... cut\n");
}

}  // namespace

std::string goroutines_html(const PageFacts& facts) {
  const std::vector<GoroutineGroup>& groups = *facts.groups;
  std::string items;
  std::size_t shown = 0;
  std::size_t members = 0;
  std::size_t left_out = 0;
  for (const GoroutineGroup& group : groups) {
    members += group.members.size();
    std::string item = shown < kMostGroups && items.size() < kMostBytes ? group_item(group, facts) : "";
    if (item.empty() || items.size() + item.size() > kMostBytes) {
      left_out += group.members.size();
      continue;
    }
    items += item;
    ++shown;
  }
  std::string out = fmt::format(
      "<p>{} goroutines in {} groups of the same stack, state and origin; {} of the runtime itself are not shown.</p>\n"
      "<p id=\"search\" hidden><label>Find <input type=\"search\" id=\"find\" "
      "placeholder=\"function, file, state or number\"></label> <output id=\"found\"></output></p>\n"
      "<div id=\"groups\">\n{}</div>\n",
      grouped(members), grouped(groups.size()), grouped(facts.goroutines->list.size() - members), items);
  if (left_out != 0) {
    out += fmt::format("<p class=\"remark\">{} more groups with {} goroutines: goroutines.txt has them.</p>\n",
                       grouped(groups.size() - shown), grouped(left_out));
  }
  return out;
}

std::string scheduler_html(const PageFacts& facts) {
  std::string text;
  write_scheduler(*facts.goroutines, *facts.names, [&](std::string_view piece) { text += piece; });
  const std::string_view shown = whole_lines(text, kMostTable);
  return fmt::format("<div class=\"wide\"><pre>{}{}</pre></div>\n", markup_lines(shown),
                     shown.size() == text.size() ? "" : "... more: report.txt\n");
}

}  // namespace mapwatch::dossier
