#include "elf/go_program.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace mapwatch::test {
namespace {

namespace fs = std::filesystem;

bool works(const std::string& command) { return std::system((command + " > /dev/null 2>&1").c_str()) == 0; }

fs::path source_dir() { return fs::path(__FILE__).parent_path() / "program"; }

bool newer_than_sources(const fs::path& program) {
  std::error_code missing;
  const auto built = fs::last_write_time(program, missing);
  if (missing) {
    return false;
  }
  for (const auto& source : fs::directory_iterator(source_dir())) {
    if (source.last_write_time() > built) {
      return false;
    }
  }
  return true;
}

std::vector<BuildMode> known_modes() {
  std::vector<BuildMode> modes = {
      {"plain", "", false, false, ""},
      {"stripped", "-ldflags='-s -w'", false, false, "plain"},
      {"pie", "-buildmode=pie", false, true, ""},
      {"stripped_pie", "-buildmode=pie -ldflags='-s -w'", false, true, "pie"},
      {"unoptimised", "-gcflags='all=-N -l'", false, false, ""},
  };
  if (works("gcc --version")) {
    const std::string external = "-tags withcgo -ldflags='-linkmode=external";
    modes.push_back({"cgo", external + "'", true, false, ""});
    modes.push_back({"stripped_cgo_pie", "-buildmode=pie " + external + " -s -w'", true, true, "cgo"});
  }
  return modes;
}

}  // namespace

std::string output_of(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    throw std::runtime_error("cannot run " + command);
  }
  std::string output;
  std::array<char, 65536> buffer{};
  while (const std::size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), got);
  }
  if (pclose(pipe) != 0) {
    throw std::runtime_error(command + " failed:\n" + output);
  }
  return output;
}

std::string go_command() {
  static const std::string command = [] {
    // The user's own settings (go env -w) may not suit the version.
    const std::string clean = "env GOENV=off GOFLAGS= GOPROXY=off GOTOOLCHAIN=local GO111MODULE=on ";
    const char* chosen = std::getenv("MAPWATCH_TEST_GO");
    for (const char* candidate : {chosen, "go", "/usr/local/go/bin/go"}) {
      if (candidate != nullptr && works(clean + candidate + " version")) {
        return clean + candidate;
      }
    }
    throw std::runtime_error("no Go compiler: install one (make deps)");
  }();
  return command;
}

const std::vector<BuildMode>& build_modes() {
  static const std::vector<BuildMode> modes = known_modes();
  return modes;
}

const BuildMode& build_mode(const std::string& name) {
  for (const BuildMode& mode : build_modes()) {
    if (mode.name == name) {
      return mode;
    }
  }
  throw std::runtime_error("no build mode " + name);
}

std::string built_program(const BuildMode& mode) {
  const std::string clean =
      "GOENV=off GOPROXY=off GOTOOLCHAIN=local GO111MODULE=on CGO_ENABLED=" + std::string(mode.cgo ? "1" : "0") + " ";
  static const std::string version = output_of(go_command() + " version");
  // "go version go1.22.12 linux/amd64"
  const std::string name = version.substr(11, version.find(' ', 11) - 11);
  const fs::path program = fs::absolute(fs::path("build/tests/go") / name / mode.name);
  if (!newer_than_sources(program)) {
    fs::create_directories(program.parent_path());
    // Versions from 1.18 on would ask git about the source directory.
    const std::string vcs = name.starts_with("go1.17") ? "" : "-buildvcs=false ";
    output_of("cd '" + source_dir().string() + "' && CGO_ENABLED=" + (mode.cgo ? "1 " : "0 ") + go_command() +
              " build -p 2 " + vcs + mode.flags + " -o '" + program.string() + "' .");
  }
  return program.string();
}

}  // namespace mapwatch::test
