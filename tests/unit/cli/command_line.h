// A command line, its environment and its config file, as tests give them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "cli/options.h"

namespace mapwatch::cli {

using Words = std::vector<std::string>;

/// A config file that is gone after the test.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(testing::TempDir() + "parse_test.toml") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Options options_of(const Words& args, const Words& env = {}) {
  auto parsed = parse(args, env);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? parsed->options : Options{};
}

inline Error error_of(const Words& args, const Words& env = {}) {
  auto parsed = parse(args, env);
  EXPECT_FALSE(parsed);
  return parsed ? Error{} : parsed.error();
}

}  // namespace mapwatch::cli
