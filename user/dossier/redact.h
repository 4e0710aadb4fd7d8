// A dossier for the eyes of others: what names machine, user and configuration is taken out. Addresses, function and
// type names stay, for without them there is nothing to diagnose.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"

namespace mapwatch::dossier {

class Redactor {
 public:
  /// Learns from report.json which directories and which cgroup there are. kMalformed when it is no crash object:
  /// then nothing can be taken out with certainty.
  static Result<Redactor> create(const std::string& report_json);

  /// Learns the directories of source files in a text with tracebacks. For all of them before the first apply().
  void learn(std::string_view text);
  /// Likewise of what timeline.json names: the file behind stderr.
  void learn_timeline(const std::string& text);

  /// The file as it may be shown; nullopt: not at all, as is true of every name that is not known here.
  std::optional<std::string> apply(std::string_view name, const std::string& text) const;

  /// What was done, for the reader of the archive.
  static std::string explanation();

 private:
  void add_directory_of(std::string_view path);
  std::string plain(std::string_view text) const;
  std::string json(const std::string& text) const;

  std::unordered_set<std::string> directories_;
  std::unordered_set<std::string> secrets_;  ///< paths of which nothing stays
  std::size_t longest_ = 0;
};

}  // namespace mapwatch::dossier
