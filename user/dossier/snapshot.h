// A dossier as it is at one moment. Dossiers are completed, replaced and removed by others; their files are never
// written to in place, so that whoever holds them open has them whole and of one state.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::dossier {

constexpr std::string_view kSums = "SHA256SUMS";

class Snapshot {
 public:
  /// Opens all files of the directory `id` in `store`, shown as `path`. nullopt when another one has taken its place
  /// meanwhile, or it is gone.
  static Result<std::optional<Snapshot>> take(int store, const std::string& id, const std::string& path);

  /// Sorted.
  std::vector<std::string> names() const;
  /// kFailed or kMalformed when it cannot be read or is no file of a dossier.
  Result<std::string> read(const std::string& name) const;
  /// What differs from SHA256SUMS, a line each; empty: nothing.
  Result<std::vector<std::string>> verify() const;
  /// When it was written, in seconds since 1970.
  std::int64_t time_s() const { return time_s_; }

 private:
  struct File {
    std::string name;
    UniqueFd fd;
    int error = 0;  ///< why it is not open
  };
  std::string path_;
  std::vector<File> files_;
  std::int64_t time_s_ = 0;
};

/// The text of an open file; `shown` names it in errors.
Result<std::string> read_file(int fd, const std::string& shown);

/// Calls each(line) for the lines of a text, without their ends.
template <typename Each>
void for_each_line(const std::string& text, const Each& each) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    each(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace mapwatch::dossier
