#include <fmt/format.h>

#include "dossier/map_company_view.h"
#include "dossier/markup.h"

namespace mapwatch::dossier {
namespace {

constexpr std::size_t kLongestName = 500;

std::string at(const std::optional<NamedFrame>& place) {
  return place ? fmt::format("<span class=\"at\">{}:{}</span>", markup(place->file, kLongestName), place->line) : "";
}

std::string rest(std::size_t left_out) {
  return left_out == 0 ? ""
                       : fmt::format("<p class=\"remark\">... and {} more: holders.json has them.</p>\n", left_out);
}

std::string inside_html(const Shown<CompanyOperation>& inside) {
  std::string items;
  for (const CompanyOperation& one : inside.items) {
    items +=
        fmt::format("<li><b>{}</b>{}: {}\n<ol class=\"stack\"><li{}><code>{}()</code>{}</li></ol></li>\n",
                    markup(one.who), one.certain ? "" : " <span class=\"tag\">not certain</span>", markup(one.what),
                    one.certain ? " class=\"user\"" : "",
                    markup(one.place ? std::string_view(one.place->func) : kUnknownCode, kLongestName), at(one.place));
  }
  return items.empty() ? "<p>No other goroutine's stack is in an operation on it.</p>\n"
                       : fmt::format("<ul class=\"company\">\n{}</ul>\n{}", items, rest(inside.left_out));
}

std::string plain_items(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& one : texts) {
    out += fmt::format("<li>{}</li>\n", markup(one));
  }
  return out;
}

std::string accesses_html(const Shown<std::string>& accesses) {
  if (accesses.items.empty()) {
    return "";
  }
  return fmt::format("<h3>Who used it before</h3>\n<p class=\"remark\">{}</p>\n<ul class=\"company\">\n{}</ul>\n{}",
                     markup(kAccessesNoted), plain_items(accesses.items), rest(accesses.left_out));
}

std::string holders_html(const CompanyView& view) {
  std::string stacks;
  for (const CompanyStacks& one : view.stacks.items) {
    stacks += fmt::format("<li>{}: <ol class=\"stack\"><li><code>{}</code>{}</li></ol></li>\n", markup(one.who),
                          markup(one.where, 2 * kLongestName), at(one.place));
  }
  std::string out = fmt::format("<h3>Who holds its address</h3>\n<p class=\"remark\">{}</p>\n<p>stacks: {}</p>\n",
                                markup(kSearched), markup(view.stack_count));
  if (!stacks.empty()) {
    out += fmt::format("<ul class=\"company\">\n{}</ul>\n{}", stacks, rest(view.stacks.left_out));
  }
  std::string others = plain_items(view.registers) + plain_items(view.variables.items);
  if (view.variables.items.empty()) {
    others += fmt::format("<li>{}</li>\n", no_variable(view));
  }
  for (const std::string& part : view.not_searched) {
    others += fmt::format("<li>not searched: {}</li>\n", markup(part));
  }
  return out + fmt::format("<ul class=\"company\">\n{}</ul>\n{}", others, rest(view.variables.left_out));
}

}  // namespace

std::string company_html(const CompanyView& view) {
  return fmt::format("<p>Map <code>{}</code>.</p>\n{}{}{}", view.map, inside_html(view.inside),
                     accesses_html(view.accesses), holders_html(view));
}

}  // namespace mapwatch::dossier
