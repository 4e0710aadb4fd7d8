// The build info blob that Go's linker writes: Go version, main package, build settings. Both formats: pointers to
// Go strings (up to 1.17) and inline strings (from 1.18). Source: debug/buildinfo/buildinfo.go, Go 1.22.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// "go1.22.12", "go1.24.13 X:noswissmap", "devel go1.28-8e63aa6 ..." -> version; nullopt when there is no "go1.N".
std::optional<GoVersion> parse_version(std::string_view text);

/// Errors: kMalformed when there is no build info, or its version cannot be understood.
Result<BuildInfo> read_build_info(const Image& image);

}  // namespace mapwatch::elf
