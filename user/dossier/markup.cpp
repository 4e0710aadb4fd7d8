#include "dossier/markup.h"

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

std::string referenced(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
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

}  // namespace

std::string markup(std::string_view text, std::size_t limit) { return referenced(escape(text, limit)); }

std::string markup_lines(std::string_view text) { return referenced(escape_lines(text)); }

}  // namespace mapwatch::dossier
