// Whose code a function is, by its name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

/// The import path of a pclntab name: "net/http" of "net/http.(*Server).Serve", "main" of "main.run.func1"; empty when
/// it has none (C code).
std::string_view package_of(std::string_view func);

/// The runtime and reflect: where a map operation is carried out, never where the bug is.
bool is_runtime(std::string_view func);

/// A standard library function. `main_path` is the main package's or module's path from build info: a project whose
/// path begins like a standard package ("log/collector") is still the user's.
bool is_standard(std::string_view func, std::string_view main_path);

/// Sets Frame::user of the first frame that is neither of them, nor a compiler's wrapper.
void mark_user_frame(std::vector<Frame>& frames, std::string_view main_path);

}  // namespace mapwatch::symbolize
