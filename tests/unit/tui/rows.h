// Targets and sites for the tests of top.
#pragma once

#include <string>

#include "tui/snapshot.h"
#include "tui/view.h"

namespace mapwatch::tui {

inline Target target(int pid, const std::string& comm, double ops_per_s = 0) {
  Target out;
  out.pid = pid;
  out.comm = comm;
  out.exe = "/srv/" + comm;
  out.go = "1.26.8";
  out.mode = "full";
  out.state = "ok";
  out.watched = true;
  out.ops_per_s = out.hits_per_s = ops_per_s;
  out.budget = 0.01;
  out.armed_share = 1;
  out.sites = 31;
  return out;
}

inline Hazard hazard(const std::string& id) {
  Hazard out;
  out.id = id;
  out.severity = "proven";
  out.map_type = "map[string]int";
  out.map_addr = 0xc0000a4060;
  out.seen = {2, 14, 57};
  out.last_ns = 3'000'000'000;
  out.sides[0] = {"write", "main.(*cache).put", "/srv/cache.go", 7};
  out.sides[1] = {"read", "main.(*cache).get", "/srv/cache.go", 8};
  return out;
}

inline Site site(const std::string& function, std::uint64_t hits) {
  Site out;
  out.function = function;
  out.file = "/srv/cache.go";
  out.line = 7;
  out.op = "write";
  out.place = "always";
  out.hits = hits;
  out.armed_share = 1;
  return out;
}

inline Snapshot snapshot() {
  Snapshot out;
  out.host.version = "1.0";
  out.host.name = "web-03";
  out.host.kernel = "6.18";
  out.host.attach = "uprobe_multi";
  out.host.watched = out.host.found = 3;
  out.targets = {target(30, "orders", 812'000), target(10, "gateway", 9'000), target(20, "billing", 70)};
  out.targets[1].hazards = {2, 14, 57};
  out.targets[1].found = {hazard("mw-7f3a91c2")};
  return out;
}

inline void type(View& view, const std::string& text) {
  for (const char c : text) {
    view.handle({Key::kText, static_cast<char32_t>(c)});
  }
}

}  // namespace mapwatch::tui
