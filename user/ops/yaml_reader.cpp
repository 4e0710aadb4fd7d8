#include "ops/yaml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>

#include <sstream>
#include <vector>

#include "base/escape.h"

namespace mapwatch::ops {
namespace {

struct DocumentStarts final : YAML::EventHandler {
  static constexpr std::size_t kMost = 3;
  std::vector<YAML::Mark> marks;

  void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}
};

}  // namespace

tl::unexpected<Error> wrong(const std::string& where, const std::string& what, const std::string& hint) {
  return fail(ErrorKind::kUsage, fmt::format("{}: {}", where, what), hint);
}

Result<YAML::Node> load_yaml(std::string_view text, const std::string& name) {
  // Not YAML::LoadAll(): on some malformed texts its parser finds another document, an empty one, again and again
  // (yaml-cpp 0.7; found by tests/fuzz).
  std::istringstream in{std::string(text)};
  YAML::Parser parser(in);
  DocumentStarts starts;
  while (starts.marks.size() < DocumentStarts::kMost && parser.HandleNextDocument(starts)) {
  }
  if (starts.marks.size() > 1) {
    const bool endless = starts.marks.size() == DocumentStarts::kMost && starts.marks[2].pos == starts.marks[1].pos;
    return wrong(fmt::format("{}:{}", name, starts.marks[1].line + 1),
                 endless ? "this is not YAML" : "a second document begins here");
  }
  return YAML::Load(std::string(text));
}

tl::unexpected<Error> yaml_error(const YAML::Exception& error, const std::string& name) {
  return wrong(error.mark.is_null() ? name : fmt::format("{}:{}", name, error.mark.line + 1), error.msg);
}

std::string YamlReader::at(const YAML::Node& node) const { return fmt::format("{}:{}", name_, node.Mark().line + 1); }

Result<void> YamlReader::only(const YAML::Node& node, const std::set<std::string_view>& known) const {
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string word = entry.first.as<std::string>();
    if (!known.contains(word)) {
      return wrong(at(entry.first), fmt::format("unknown key {}", escape(word)),
                   fmt::format("known: {}", fmt::join(known, ", ")));
    }
    if (!seen.insert(word).second) {
      return wrong(at(entry.first), fmt::format("{} is given twice", word));
    }
  }
  return {};
}

Result<std::string> YamlReader::text(const YAML::Node& node, const char* key) const {
  const YAML::Node value = node[key];
  if (!value || !value.IsScalar() || value.Scalar().empty()) {
    return wrong(at(node), fmt::format("{} is missing", key));
  }
  return value.Scalar();
}

}  // namespace mapwatch::ops
