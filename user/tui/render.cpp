#include "tui/render.h"

#include <functional>

#include <fmt/format.h>

#include "tui/columns.h"
#include "tui/words.h"

namespace mapwatch::tui {

namespace {

constexpr std::string_view kHelp[] = {
    "Keys",
    "  up down  j k     choose a process; PgUp PgDn Home End",
    "  Enter            its sites and hazards;  Esc: back",
    "  s S              sort by the next column; turn the order;  left right: which column",
    "  f /              show only what has this text in name, path, version, state or PID;  Esc: all",
    "  p                pause: the screen stands still, watching goes on",
    "  d                how often it is drawn: 0.5, 1, 2, 5, 10 s",
    "  ? h              this text",
    "  q Ctrl-C         detach from everything and end",
    "",
    "Columns",
    "  MODE       full: every operation is seen; auto: as much as the budget allows; auto 1/200: one in 200 is seen",
    "  MAP OPS/s  map operations; ~ when reckoned from the part that is seen. WRITES/s: of these, those that write",
    "  HITS/s     probes that it came to: what it pays for",
    "  COST%/BUD  share of its CPU time that the probes cost over the last 10 s, and the most that they may",
    "  ARMED%     share of its sites that is armed, each by its share of the time",
    "  SITES      probed places: calls of map functions, or (at first) the functions",
    "  HAZARDS    overlaps seen in the last minute, the last hour, in all",
    "  SEEN IN    at a site: how long, on average, until a race of two goroutines at it is seen (docs/top.md)",
};

std::string cost_text(const Target& target) {
  return fmt::format("cost {}% of its CPU time, budget {}%", percent(target.cost_share), percent(target.budget));
}

Ink look_of(const Target& target) {
  if (target.crashed) {
    return Ink::kAlarm;
  }
  if (!target.watched) {
    return Ink::kFaint;
  }
  return target.hazards.hour > 0 ? Ink::kWarning : Ink::kPlain;
}

std::string map_text(const Hazard& hazard) {
  return fmt::format("{} {}", hazard.map_type.empty() ? "map of unknown type" : hazard.map_type,
                     hazard.map_addr == 0 ? "?" : fmt::format("0x{:x}", hazard.map_addr));
}

std::string side_text(const Side& side) {
  return fmt::format("{} {}", side.op, place_text(side.func, side.file, side.line));
}

std::string hot_text(const Target& target) {
  const Hazard& last = target.found.front();
  return fmt::format("HOT  {}  {}  <>  {}  {} in all  {}", map_text(last), side_text(last.sides[0]),
                     side_text(last.sides[1]), last.seen.all, last.id);
}

/// A line of text, or the row of a table.
using Line = std::function<void(Grid&, int row)>;

Line text_line(std::string text, Ink ink) {
  return [text = std::move(text), ink](Grid& grid, int row) { grid.put(row, 0, text, ink); };
}

template <typename Row>
Line heading(const std::vector<const Column<Row>*>& columns, std::string_view sorted_by, bool reversed) {
  return [=](Grid& grid, int row) {
    put_row<Row>(
        grid, row, columns, [](const Column<Row>& column) { return std::string(column.title); },
        [&](const Column<Row>& column) {
          return column.title != sorted_by ? Ink::kHeading : reversed ? Ink::kFaint : Ink::kStrong;
        });
  };
}

template <typename Row>
Line table_row(const std::vector<const Column<Row>*>& columns, const Row& of, Ink ink) {
  return [&columns, &of, ink](Grid& grid, int row) {
    put_row<Row>(
        grid, row, columns, [&](const Column<Row>& column) { return column.text(of); },
        [ink](const Column<Row>&) { return ink; });
  };
}

std::vector<Line> host_lines(const Snapshot& snapshot) {
  const Host& host = snapshot.host;
  std::vector<Line> lines;
  lines.push_back(text_line(fmt::format("mapwatch {}  {}  kernel {}  attach {}  up {}  {}", host.version, host.name,
                                        host.kernel, host.attach, short_time(host.up_ns), host.clock),
                            Ink::kStrong));
  lines.push_back([&host](Grid& grid, int row) {
    int at = grid.put(row, 0,
                      fmt::format("procs {}/{}  probes {}  hits {}/s  ", host.watched, host.found, host.probes,
                                  short_count(host.hits_per_s)));
    at = grid.put(row, at, fmt::format("LOST {}", host.lost), host.lost > 0 ? Ink::kAlarm : Ink::kPlain);
    grid.put(row, at,
             fmt::format("  own cpu {}% rss {}  cost to targets {}%", percent(host.own_cpu),
                         short_bytes(host.own_rss_bytes), percent(host.cost_share)));
  });
  return lines;
}

/// What others that share its probes have to do with it.
std::string sharing_text(const Target& target) {
  if (target.sharing <= 1) {
    return "";
  }
  const std::string who = target.decides == target.pid
                              ? "this one decides"
                              : fmt::format("{} decides (cost {:.2f}%)", target.decides, 100 * target.decides_cost);
  return fmt::format("; {} processes share them, {}", target.sharing, who);
}

std::vector<Line> target_lines(const Target& target) {
  std::vector<Line> lines;
  lines.push_back(text_line(
      fmt::format("{} {}  {}  go{}  {}  {}", target.pid, target.comm, target.exe, target.go, target.mode, target.state),
      Ink::kStrong));
  lines.push_back(
      text_line(fmt::format("{}; {}% armed of {} {}, {}% of its operations are seen{}", cost_text(target),
                            percent(target.armed_share), target.sites, target.by_calls ? "call sites" : "functions",
                            percent(target.seen_share), sharing_text(target)),
                Ink::kPlain));
  lines.push_back(text_line(
      fmt::format("HAZARDS {} (1m/1h/all)  crashes {}", tally_text(target.hazards), target.crashes), Ink::kHeading));
  for (const Hazard& hazard : target.found) {
    lines.push_back(text_line(fmt::format("{} {}  {}  {}  {} ago", hazard.id, hazard.severity, map_text(hazard),
                                          tally_text(hazard.seen), short_time(hazard.last_ns)),
                              Ink::kWarning));
    for (const Side& side : hazard.sides) {
      lines.push_back(text_line("    " + side_text(side), Ink::kPlain));
    }
  }
  if (target.found.empty()) {
    lines.push_back(text_line("    none seen", Ink::kFaint));
  }
  return lines;
}

std::string foot(const View& view) {
  if (view.typing()) {
    return fmt::format("filter: {}_   Enter: keep  Esc: all", view.filter());
  }
  if (!view.message().empty()) {
    return view.message();
  }
  std::string text = view.paused() ? "PAUSED (p: go on)  " : "";
  switch (view.page()) {
    case View::Page::kTargets:
      text += "q quit  s/S sort  f filter  Enter sites  p pause  d delay  ? help";
      text += view.filter().empty() ? "" : fmt::format("   filter: {}", view.filter());
      break;
    case View::Page::kTarget:
      text += "Esc back  s/S sort  up/down scroll  p pause  q quit  ? help";
      break;
    case View::Page::kHelp:
      text += "Esc back  q quit";
      break;
  }
  return text;
}

void draw_help(Grid& grid, int first, int room, int scroll) {
  for (int i = 0; i < room && i + scroll < static_cast<int>(std::size(kHelp)); ++i) {
    const std::string_view line = kHelp[i + scroll];
    grid.put(first + i, 0, line, line.starts_with(' ') ? Ink::kPlain : Ink::kHeading);
  }
}

}  // namespace

Drawn render(const View& view, Size size) {
  Drawn out{Grid(size), 0};
  Grid& grid = out.grid;
  int row = 0;
  for (const Line& line : host_lines(view.snapshot())) {
    line(grid, row++);
  }
  const int foot_row = size.rows - 1;
  const int room = std::max(0, foot_row - row);
  const auto show = [&](const std::vector<Line>& lines) {
    const int count = static_cast<int>(lines.size());
    out.most_scroll = std::max(0, count - room);
    const int scroll = std::min(view.scroll(), out.most_scroll);
    for (int i = 0; i < room && i + scroll < count; ++i) {
      lines[static_cast<std::size_t>(i + scroll)](grid, row + i);
    }
  };
  if (view.page() == View::Page::kHelp) {
    out.most_scroll = std::max(0, static_cast<int>(std::size(kHelp)) - room);
    draw_help(grid, row, room, std::min(view.scroll(), out.most_scroll));
  } else if (view.page() == View::Page::kTarget) {
    const Target* target = view.opened_target();
    const auto columns = fitting(site_columns(), size.columns);
    std::vector<Line> lines;
    std::vector<const Site*> sites;
    if (target == nullptr) {
      lines.push_back(text_line(fmt::format("process {} is gone", view.opened().value_or(0)), Ink::kWarning));
    } else {
      lines = target_lines(*target);
      sites = view.site_rows(*target);
      lines.push_back(heading(columns, site_columns()[view.sort()].title, view.reversed()));
    }
    for (const Site* site : sites) {
      lines.push_back(table_row(columns, *site, site->place == "always" ? Ink::kPlain : Ink::kFaint));
    }
    if (target != nullptr && sites.empty()) {
      lines.push_back(
          text_line(view.paused() ? "    paused: they are read when it goes on" : "    none yet", Ink::kFaint));
    }
    show(lines);
  } else {
    const auto columns = fitting(target_columns(), size.columns);
    heading(columns, target_columns()[view.sort()].title, view.reversed())(grid, row++);
    const auto rows = view.rows();
    const std::size_t selected = view.selected();
    const int hot = !rows.empty() && !rows[selected]->found.empty() && room > 4 ? 1 : 0;
    const int table = std::max(0, foot_row - row - hot);
    const int first = std::max(0, static_cast<int>(selected) - table + 1);
    for (int i = 0; i < table && first + i < static_cast<int>(rows.size()); ++i) {
      const auto index = static_cast<std::size_t>(first + i);
      table_row(columns, *rows[index], look_of(*rows[index]))(grid, row + i);
      if (index == selected) {
        grid.paint(row + i, Ink::kSelected);
      }
    }
    if (rows.empty() && table > 0) {
      grid.put(row, 0, view.filter().empty() ? "no Go process yet" : "none matches the filter", Ink::kFaint);
    }
    if (hot > 0) {
      grid.put(foot_row - 1, 0, hot_text(*rows[selected]), Ink::kWarning);
    }
  }
  if (foot_row >= 0) {
    for (int column = 0; column < size.columns; ++column) {
      grid.put(foot_row, column, " ");
    }
    grid.put(foot_row, 0, foot(view), view.paused() || view.typing() ? Ink::kStrong : Ink::kFaint);
  }
  return out;
}

std::string plain_table(const Snapshot& snapshot) {
  constexpr int kColumns = 400;
  View view(0);
  view.update(snapshot);
  const auto rows = view.rows();
  std::vector<Line> lines = host_lines(view.snapshot());
  const auto columns = fitting(target_columns(), kColumns);
  lines.push_back(heading(columns, "", false));
  for (const Target* target : rows) {
    lines.push_back(table_row(columns, *target, Ink::kPlain));
  }
  for (const Target* target : rows) {
    if (!target->found.empty()) {
      lines.push_back(text_line(fmt::format("{}  {}", target->pid, hot_text(*target)), Ink::kPlain));
    }
  }
  Grid grid({static_cast<int>(lines.size()), kColumns});
  for (std::size_t i = 0; i < lines.size(); ++i) {
    lines[i](grid, static_cast<int>(i));
  }
  return grid.text();
}

}  // namespace mapwatch::tui
