#include "dossier/map_svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/escape.h"
#include "dossier/map_text.h"

namespace mapwatch::dossier {
namespace {

using namespace forensics;

constexpr int kWidth = 720;
constexpr int kChart = 120;  // height of one histogram, in pixels
constexpr int kGap = 36;
constexpr int kColumns = 64;  // cells in a row of the heat map
constexpr int kCell = kWidth / kColumns;

/// `text` within XML: control characters as base/escape writes them, and the five characters that XML gives a meaning.
std::string xml(std::string_view text) {
  std::string out;
  for (const char c : escape(text, 300)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

int histogram(std::string& out, int top, std::string_view title, const std::vector<std::uint64_t>& bins, int first) {
  if (bins.empty()) {
    return top;
  }
  out += fmt::format("<text x=\"0\" y=\"{}\">{}</text>\n", top + 14, title);
  const double most = static_cast<double>(std::max<std::uint64_t>(1, *std::ranges::max_element(bins)));
  const double step = static_cast<double>(kWidth) / static_cast<double>(std::max<std::size_t>(bins.size(), 12));
  const int base = top + 20 + kChart;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double height = bins[i] == 0 ? 0 : std::max(1.0, static_cast<double>(bins[i]) / most * kChart);
    const double x = static_cast<double>(i) * step;
    out += fmt::format(
        "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}: {}"
        "</title></rect>\n",
        x + 1, base - height, step - 2, height, static_cast<int>(i) + first, grouped(bins[i]));
    if (bins.size() <= 24 || i % 8 == 0) {
      out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x + step / 2, base + 14,
                         static_cast<int>(i) + first);
    }
  }
  return base + kGap;
}

int heat_map(std::string& out, int top, const MapDistribution& d) {
  if (d.heat.empty()) {
    return top;
  }
  out += fmt::format("<text x=\"0\" y=\"{}\">Where the entries lie, first to last of {} blocks</text>\n", top + 14,
                     grouped(d.blocks));
  const int base = top + 22;
  int rows = 0;
  for (std::size_t i = 0; i < d.heat.size(); ++i) {
    const int row = static_cast<int>(i) / kColumns;
    const int column = static_cast<int>(i) % kColumns;
    rows = row + 1;
    // From pale to dark blue with the load; red where buckets overflow.
    const double load = std::clamp(d.heat[i], 0.0, 1.0);
    const std::string colour = d.heat[i] > 1 ? "#b3261e" : fmt::format("hsl(212,70%,{}%)", 95 - std::lround(load * 65));
    out += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>{:.0f} % of the slots"
        "</title></rect>\n",
        column * kCell, base + row * kCell, kCell - 1, kCell - 1, colour, d.heat[i] * 100);
  }
  return base + rows * kCell + kGap / 2;
}

}  // namespace

std::string map_svg(const MapPicture& picture) {
  const MapDistribution& d = picture.distribution;
  const bool buckets = picture.header.buckets() != nullptr;
  std::string body;
  int top = 24;
  top = histogram(body, top, buckets ? "Entries in a bucket" : "Entries in a group", d.entries, 0);
  top = histogram(body, top, "Overflow buckets of a bucket", d.overflow, 0);
  top = histogram(body, top, "Blocks opened to find an entry", d.probes, 1);
  top = heat_map(body, top, d);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n"
      "<title>{2}</title>\n"
      "<style>text{{font:13px sans-serif;fill:#1f2328}}.tick{{font-size:10px;text-anchor:middle}}"
      ".bar{{fill:#2f6db5}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n"
      "<text x=\"0\" y=\"16\">{2}</text>\n{3}</svg>\n",
      kWidth, top,
      xml(fmt::format("{} at {:#x}: {} entries", picture.type_name, picture.header.address,
                      grouped(picture.totals.entries))),
      body);
}

}  // namespace mapwatch::dossier
