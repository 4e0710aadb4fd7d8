#include "dossier/maps_in_use_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "dossier/map_json.h"
#include "dossier/map_text.h"
#include "report/format.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShownUsers = 10;

std::string users_text(const std::vector<forensics::MapUser>& users) {
  std::string text;
  for (std::size_t i = 0; i < std::min(users.size(), kShownUsers); ++i) {
    text += fmt::format("{}goroutine {} ({})", i == 0 ? "" : ", ", users[i].goid, report::op_word(users[i].op));
  }
  return users.size() > kShownUsers ? text + fmt::format(" and {} more", users.size() - kShownUsers) : text;
}

}  // namespace

std::string maps_in_use_text(const forensics::MapsInUse& maps) {
  std::string text;
  for (const forensics::MapInUse& map : maps.list) {
    text +=
        fmt::format("in use by {}:\n{}\n", users_text(map.users),
                    map.picture ? map_text(*map.picture) : fmt::format("map {:#x}: {}\n", map.map, escape(map.unread)));
  }
  return text;
}

std::string map_in_use_json(const forensics::MapInUse& map) {
  Json json = {{"schema_version", 1}, {"kind", "map"}};
  json["users"] = Json::array();
  for (const forensics::MapUser& user : map.users) {
    json["users"].push_back({{"goid", user.goid}, {"op", report::op_word(user.op)}});
  }
  json["unread"] = map.picture ? Json(nullptr) : Json(escape(map.unread));
  if (!map.picture) {
    json["address"] = fmt::format("{:#x}", map.map);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  const std::string head = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return head.substr(0, head.size() - 1) + "," + map_json(*map.picture).substr(1);
}

}  // namespace mapwatch::dossier
