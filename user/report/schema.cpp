#include "report/schema.h"

namespace mapwatch::report {

std::string_view json_schema() {
  static constexpr std::string_view kSchema =
#include "report/schema.inc"
      ;
  return kSchema;
}

}  // namespace mapwatch::report
