// What the readers of YAML files have in common: one document, known keys only, errors with file and line.
#pragma once

#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mapwatch::ops {

/// kUsage: "WHERE: WHAT".
tl::unexpected<Error> wrong(const std::string& where, const std::string& what, const std::string& hint = {});

/// The one document in `text`; an empty text is a null node. kUsage for more than one. Throws YAML::Exception.
Result<YAML::Node> load_yaml(std::string_view text, const std::string& name);
/// kUsage for what yaml-cpp threw, with its line.
tl::unexpected<Error> yaml_error(const YAML::Exception& error, const std::string& name);

/// To be derived from. `name`, the file's, must outlive it. All of it may throw YAML::Exception.
class YamlReader {
 protected:
  explicit YamlReader(const std::string& name) : name_(name) {}

  /// "NAME:LINE"
  std::string at(const YAML::Node& node) const;
  /// kUsage: a key of this map is none of `known`, or is there twice.
  Result<void> only(const YAML::Node& node, const std::set<std::string_view>& known) const;
  /// The text at `key` of this map. kUsage: it is missing, empty or no scalar.
  Result<std::string> text(const YAML::Node& node, const char* key) const;

  const std::string& name_;
};

}  // namespace mapwatch::ops
