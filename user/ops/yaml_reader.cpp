#include "ops/yaml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/escape.h"

namespace mapwatch::ops {

tl::unexpected<Error> wrong(const std::string& where, const std::string& what, const std::string& hint) {
  return fail(ErrorKind::kUsage, fmt::format("{}: {}", where, what), hint);
}

Result<YAML::Node> load_yaml(std::string_view text, const std::string& name) {
  const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
  if (documents.size() > 1) {
    return wrong(fmt::format("{}:{}", name, documents[1].Mark().line + 1), "a second document begins here");
  }
  return documents.empty() ? YAML::Node() : documents.front();
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
