// A Go program that is on every machine with Go, and waits for its input.
#pragma once

#include <filesystem>
#include <string>

namespace mapwatch::test {

/// Empty when there is none.
inline std::string find_gofmt() {
  for (const char* path : {"/usr/local/go/bin/gofmt", "/usr/lib/go/bin/gofmt", "/usr/bin/gofmt"}) {
    if (std::filesystem::exists(path)) {
      return std::filesystem::canonical(path);
    }
  }
  return "";
}

}  // namespace mapwatch::test
