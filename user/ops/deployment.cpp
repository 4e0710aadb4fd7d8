#include <fmt/format.h>

#include "ops/exports.h"

namespace mapwatch::ops {

std::string systemd_unit() {
  return fmt::format(
#include "ops/mapwatch.service.inc"
      , MAPWATCH_VERSION);
}

std::string kubernetes() {
  return fmt::format(
#include "ops/kubernetes.inc"
      , MAPWATCH_VERSION);
}

}  // namespace mapwatch::ops
