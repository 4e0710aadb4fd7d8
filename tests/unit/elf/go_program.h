// The Go program under program/, built by whatever Go there is, once per way of building, into build/tests/go/.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace mapwatch::test {

/// The Go command: $MAPWATCH_TEST_GO, else `go` on PATH, else /usr/local/go/bin/go; with a clean
/// environment in front. Throws when there is none.
std::string go_command();

/// Output of a shell command; throws with it when the command fails.
std::string output_of(const std::string& command);

struct BuildMode {
  std::string name;
  std::string flags;
  bool cgo = false;
  bool pie = false;
  std::string twin;  ///< mode of the same code with a symbol table; empty: this one has it
};

/// How gtest names it in its output.
inline std::ostream& operator<<(std::ostream& out, const BuildMode& mode) { return out << mode.name; }

/// plain, stripped, PIE, stripped PIE, -N -l, and two that link C code where gcc works.
const std::vector<BuildMode>& build_modes();
const BuildMode& build_mode(const std::string& name);

/// Path of the program built in that mode. Builds it when it is missing or older than its sources.
std::string built_program(const BuildMode& mode);

}  // namespace mapwatch::test
