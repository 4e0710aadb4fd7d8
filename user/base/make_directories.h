// A directory of mapwatch's own.
#pragma once

#include <string>

#include "base/result.h"

namespace mapwatch {

/// One directory and its parents; where they are made it is 0700, and they 0755. kFailed, kPermission: which could not
/// be made.
Result<void> make_directories(const std::string& path);

}  // namespace mapwatch
