#include "dossier/map_svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "dossier/map_text.h"
#include "dossier/markup.h"

namespace mapwatch::dossier {
namespace {

using namespace forensics;

constexpr int kWidth = 720;
constexpr int kChart = 120;            // height of one histogram, in pixels
constexpr int kNumber = 14;            // and of the number above its highest bar
constexpr std::size_t kNumbered = 16;  // bars, for there is room for no more numbers
constexpr int kGap = 36;
constexpr int kColumns = 64;  // cells in a row of the heat map
constexpr int kCell = kWidth / kColumns;

int histogram(std::string& out, int top, std::string_view title, const std::vector<std::uint64_t>& bins, int first) {
  if (bins.empty()) {
    return top;
  }
  out += fmt::format("<text x=\"0\" y=\"{}\">{}</text>\n", top + 14, title);
  const double most = static_cast<double>(std::max<std::uint64_t>(1, *std::ranges::max_element(bins)));
  const double step = static_cast<double>(kWidth) / static_cast<double>(std::max<std::size_t>(bins.size(), 12));
  const int base = top + 20 + kNumber + kChart;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double height = bins[i] == 0 ? 0 : std::max(1.0, static_cast<double>(bins[i]) / most * kChart);
    const double x = static_cast<double>(i) * step;
    out += fmt::format(
        "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}: {}"
        "</title></rect>\n",
        x + 1, base - height, step - 2, height, static_cast<int>(i) + first, grouped(bins[i]));
    if (bins.size() <= kNumbered) {
      out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x + step / 2, base - height - 3,
                         grouped(bins[i]));
    }
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
  out += fmt::format(
      "<text x=\"0\" y=\"{}\">Where the entries lie, first to last of {} blocks (faint: empty, strong: full, red: "
      "overfull)</text>\n",
      top + 14, grouped(d.blocks));
  const int base = top + 22;
  int rows = 0;
  for (std::size_t i = 0; i < d.heat.size(); ++i) {
    const int row = static_cast<int>(i) / kColumns;
    const int column = static_cast<int>(i) % kColumns;
    rows = row + 1;
    // The more entries the less transparent: on a dark page too. Red where buckets overflow.
    out += fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
                       d.heat[i] > 1 ? "cell over" : "cell", column * kCell, base + row * kCell, kCell - 1, kCell - 1);
    out += fmt::format(" fill-opacity=\"{:.2f}\"><title>{:.0f} % of the slots</title></rect>\n",
                       0.06 + std::clamp(d.heat[i], 0.0, 1.0) * 0.94, d.heat[i] * 100);
  }
  return base + rows * kCell + kGap / 2;
}

}  // namespace

std::string map_svg(const MapPicture& picture, SvgUse use) {
  const MapDistribution& d = picture.distribution;
  const bool buckets = picture.header.buckets() != nullptr;
  std::string body;
  int top = use == SvgUse::kFile ? 24 : 0;
  top = histogram(body, top, buckets ? "Entries in a bucket" : "Entries in a group", d.entries, 0);
  top = histogram(body, top, "Overflow buckets of a bucket", d.overflow, 0);
  top = histogram(body, top, "Blocks opened to find an entry", d.probes, 1);
  top = heat_map(body, top, d);
  const std::string title = markup(fmt::format("{} at {:#x}: {} entries", picture.type_name, picture.header.address,
                                               grouped(picture.totals.entries)),
                                   300);
  const std::string size = fmt::format("viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\"", kWidth, top);
  std::string head = fmt::format("<title>{}</title>\n", title);
  if (use == SvgUse::kFile) {
    head += fmt::format(
        "<style>text{{font:13px sans-serif;fill:#1f2328}}.tick{{font-size:10px;text-anchor:middle}}"
        ".bar{{fill:#2f6db5}}.cell{{fill:#174a8b}}.over{{fill:#b3261e}}</style>\n"
        "<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n<text x=\"0\" y=\"16\">{}</text>\n",
        kWidth, top, title);
  }
  return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" {} role=\"img\">\n{}{}</svg>\n", size, head, body);
}

}  // namespace mapwatch::dossier
