#include "ingest/record_json.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mapwatch/abi.h"

namespace mapwatch::ingest {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxFrames = 1024;

/// JSON holds UTF-8 only and names of a target may be any bytes: each byte becomes the code point of its value.
std::string to_json_text(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xc0 | (byte >> 6));
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return text;
}

struct Bad {
  std::string what;
};

std::string from_json_text(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if (byte < 0x80) {
      bytes += text[i];
    } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < text.size()) {
      bytes += static_cast<char>((byte << 6) | (static_cast<std::uint8_t>(text[++i]) & 0x3f));
    } else {
      throw Bad{"text holds a code point over 255"};
    }
  }
  return bytes;
}

const Json& member(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) {
    throw Bad{fmt::format("{} is missing", key)};
  }
  return *found;
}

template <typename T>
T number(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())) {
    return static_cast<T>(value.get<std::uint64_t>());
  }
  if (std::numeric_limits<T>::is_signed && value.is_number_integer() && !value.is_number_unsigned() &&
      value.get<std::int64_t>() >= static_cast<std::int64_t>(std::numeric_limits<T>::min())) {
    return static_cast<T>(value.get<std::int64_t>());
  }
  throw Bad{fmt::format("{} is no number in range", key)};
}

double real(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (!value.is_number()) {
    throw Bad{fmt::format("{} is no number", key)};
  }
  return value.get<double>();
}

bool boolean(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (!value.is_boolean()) {
    throw Bad{fmt::format("{} is neither true nor false", key)};
  }
  return value.get<bool>();
}

std::string text(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (!value.is_string()) {
    throw Bad{fmt::format("{} is no text", key)};
  }
  return from_json_text(value.get_ref<const std::string&>());
}

double finite(double value) { return std::isfinite(value) ? value : 0; }

std::string dump(const Json& json) { return json.dump(); }

/// Parses and converts; nothing of nlohmann's leaves this file.
template <typename T, typename Convert>
Result<T> decode_json(Bytes payload, const char* what, Convert convert) {
  try {
    const Json json = Json::parse(payload.text());
    if (!json.is_object()) {
      throw Bad{"it is no object"};
    }
    return convert(json);
  } catch (const Bad& bad) {
    return fail(ErrorKind::kMalformed, fmt::format("recorded {}: {}", what, bad.what));
  } catch (const Json::exception& exception) {
    return fail(ErrorKind::kMalformed, fmt::format("recorded {}: {}", what, exception.what()));
  }
}

Json frame_json(const FrameRecord& frame) {
  Json json = Json::object();
  json["func"] = to_json_text(frame.func);
  json["file"] = to_json_text(frame.file);
  json["line"] = frame.line;
  json["pc"] = frame.pc;
  json["offset"] = frame.offset;
  json["inlined"] = frame.inlined;
  json["runtime"] = frame.runtime;
  json["user"] = frame.user;
  return json;
}

FrameRecord frame_from(const Json& json) {
  if (!json.is_object()) {
    throw Bad{"a frame is no object"};
  }
  FrameRecord frame;
  frame.func = text(json, "func");
  frame.file = text(json, "file");
  frame.line = number<int>(json, "line");
  frame.pc = number<std::uint64_t>(json, "pc");
  frame.offset = number<std::uint64_t>(json, "offset");
  frame.inlined = boolean(json, "inlined");
  frame.runtime = boolean(json, "runtime");
  frame.user = boolean(json, "user");
  return frame;
}

std::vector<FrameRecord> frames_from(const Json& json, const char* key) {
  const Json& list = member(json, key);
  if (!list.is_array() || list.size() > kMaxFrames) {
    throw Bad{fmt::format("{} is no list of at most 1024", key)};
  }
  std::vector<FrameRecord> frames;
  for (const Json& frame : list) {
    frames.push_back(frame_from(frame));
  }
  return frames;
}

Json frames_json(const std::vector<FrameRecord>& frames) {
  Json list = Json::array();
  for (const FrameRecord& frame : frames) {
    list.push_back(frame_json(frame));
  }
  return list;
}

/// nullopt for null.
template <typename Convert>
auto optional(const Json& json, const char* key, Convert convert) {
  return member(json, key).is_null() ? std::nullopt : std::optional(convert());
}

Json inside_json(const InsideRecord& inside) {
  Json json = Json::object();
  json["op"] = static_cast<unsigned>(inside.op);
  json["goid"] = inside.goid;
  json["tid"] = inside.tid;
  json["stack"] = frames_json(inside.stack);
  json["stack_cut"] = inside.stack_cut;
  json["created_by"] = inside.created_by ? frame_json(*inside.created_by) : Json(nullptr);
  return json;
}

InsideRecord inside_from(const Json& json) {
  if (!json.is_object()) {
    throw Bad{"inside is no object"};
  }
  InsideRecord inside;
  const auto op = number<std::uint32_t>(json, "op");
  if (op < MW_OP_WRITE || op > MW_OP_CLONE) {
    throw Bad{"op is no operation on a map"};
  }
  inside.op = static_cast<mw_op>(op);
  inside.goid = number<std::uint64_t>(json, "goid");
  inside.tid = number<std::uint32_t>(json, "tid");
  inside.stack = frames_from(json, "stack");
  inside.stack_cut = boolean(json, "stack_cut");
  inside.created_by = optional(json, "created_by", [&] { return frame_from(member(json, "created_by")); });
  return inside;
}

constexpr std::string_view kKinds[] = {"stack", "at", "type"};

}  // namespace

std::string encode(const ProcessRecord& record) {
  Json json = Json::object();
  json["tgid"] = record.tgid;
  json["pid"] = record.pid;
  json["ns_pid"] = record.ns_pid;
  json["exe"] = to_json_text(record.exe);
  json["go"] = to_json_text(record.go);
  json["build_id"] = to_json_text(record.build_id);
  json["cgroup"] = to_json_text(record.cgroup);
  json["load_bias"] = record.load_bias;
  json["wall_offset_ns"] = record.wall_offset_ns;
  return dump(json);
}

Result<ProcessRecord> decode_process(Bytes payload) {
  return decode_json<ProcessRecord>(payload, "process", [](const Json& json) {
    ProcessRecord record;
    record.tgid = number<std::uint32_t>(json, "tgid");
    record.pid = number<std::uint32_t>(json, "pid");
    record.ns_pid = number<std::uint32_t>(json, "ns_pid");
    record.exe = text(json, "exe");
    record.go = text(json, "go");
    record.build_id = text(json, "build_id");
    record.cgroup = text(json, "cgroup");
    record.load_bias = number<std::uint64_t>(json, "load_bias");
    record.wall_offset_ns = number<std::int64_t>(json, "wall_offset_ns");
    return record;
  });
}

std::string encode(const SymbolRecord& record) {
  Json json = Json::object();
  json["tgid"] = record.tgid;
  json["kind"] = kKinds[static_cast<std::size_t>(record.kind)];
  json["pcs"] = record.pcs;
  if (record.kind == SymbolRecord::Kind::kType) {
    json["name"] = to_json_text(record.name);
  } else {
    json["frames"] = frames_json(record.frames);
  }
  return dump(json);
}

Result<SymbolRecord> decode_symbols(Bytes payload) {
  return decode_json<SymbolRecord>(payload, "symbols", [](const Json& json) {
    SymbolRecord record;
    record.tgid = number<std::uint32_t>(json, "tgid");
    const std::string kind = text(json, "kind");
    std::size_t index = 0;
    while (index < std::size(kKinds) && kind != kKinds[index]) {
      ++index;
    }
    if (index == std::size(kKinds)) {
      throw Bad{"kind is none of stack, at, type"};
    }
    record.kind = static_cast<SymbolRecord::Kind>(index);
    const Json& pcs = member(json, "pcs");
    if (!pcs.is_array() || pcs.empty() || pcs.size() > MW_MAX_STACK) {
      throw Bad{"pcs is no list of 1 to 64 addresses"};
    }
    for (const Json& pc : pcs) {
      if (!pc.is_number_unsigned()) {
        throw Bad{"a pc is no address"};
      }
      record.pcs.push_back(pc.get<std::uint64_t>());
    }
    if (record.kind == SymbolRecord::Kind::kType) {
      record.name = text(json, "name");
      return record;
    }
    record.frames = frames_from(json, "frames");
    return record;
  });
}

std::string encode(const FrozenRecord& record) {
  Json json = Json::object();
  json["tgid"] = record.tgid;
  json["id"] = to_json_text(record.id);
  json["frozen_ns"] = record.frozen_ns ? Json(*record.frozen_ns) : Json(nullptr);
  json["dossier"] = record.dossier ? Json(to_json_text(*record.dossier)) : Json(nullptr);
  json["other_began_ns"] = record.other_began_ns;
  json["inside"] = record.inside ? inside_json(*record.inside) : Json(nullptr);
  return dump(json);
}

Result<FrozenRecord> decode_frozen(Bytes payload) {
  return decode_json<FrozenRecord>(payload, "frozen process", [](const Json& json) {
    FrozenRecord record;
    record.tgid = number<std::uint32_t>(json, "tgid");
    record.id = text(json, "id");
    record.frozen_ns = optional(json, "frozen_ns", [&] { return number<std::uint64_t>(json, "frozen_ns"); });
    record.dossier = optional(json, "dossier", [&] { return text(json, "dossier"); });
    record.other_began_ns = number<std::uint64_t>(json, "other_began_ns");
    record.inside = optional(json, "inside", [&] { return inside_from(member(json, "inside")); });
    return record;
  });
}

std::string encode(const ReportedRecord& record) {
  Json json = Json::object();
  json["tgid"] = record.tgid;
  json["id"] = to_json_text(record.id);
  json["count"] = record.count;
  json["printed_ns"] = record.printed_ns;
  return dump(json);
}

Result<ReportedRecord> decode_reported(Bytes payload) {
  return decode_json<ReportedRecord>(payload, "report", [](const Json& json) {
    ReportedRecord record;
    record.tgid = number<std::uint32_t>(json, "tgid");
    record.id = text(json, "id");
    record.count = number<std::uint64_t>(json, "count");
    record.printed_ns = number<std::uint64_t>(json, "printed_ns");
    return record;
  });
}

std::string encode(const LostRecord& record) {
  Json json = Json::object();
  json["stage"] = to_json_text(record.stage);
  json["count"] = record.count;
  return dump(json);
}

Result<LostRecord> decode_lost(Bytes payload) {
  return decode_json<LostRecord>(payload, "loss", [](const Json& json) {
    return LostRecord{text(json, "stage"), number<std::uint64_t>(json, "count")};
  });
}

std::string encode(const CountersRecord& record) {
  Json json = Json::object();
  json["duration_ns"] = record.duration_ns;
  json["hits"] = record.hits;
  json["dwells"] = record.dwells;
  json["lost"] = record.lost;
  json["sites"] = record.sites;
  json["sites_armed"] = record.sites_armed;
  json["armed_share"] = finite(record.armed_share);
  json["ns_per_hit"] = finite(record.ns_per_hit);
  json["target_cost"] = finite(record.target_cost);
  json["own_cpu_s"] = finite(record.own_cpu_s);
  json["own_rss_bytes"] = record.own_rss_bytes;
  return dump(json);
}

Result<CountersRecord> decode_counters(Bytes payload) {
  return decode_json<CountersRecord>(payload, "counters", [](const Json& json) {
    CountersRecord record;
    record.duration_ns = number<std::uint64_t>(json, "duration_ns");
    record.hits = number<std::uint64_t>(json, "hits");
    record.dwells = number<std::uint64_t>(json, "dwells");
    record.lost = number<std::uint64_t>(json, "lost");
    record.sites = number<std::uint64_t>(json, "sites");
    record.sites_armed = number<std::uint64_t>(json, "sites_armed");
    record.armed_share = real(json, "armed_share");
    record.ns_per_hit = real(json, "ns_per_hit");
    record.target_cost = real(json, "target_cost");
    record.own_cpu_s = real(json, "own_cpu_s");
    record.own_rss_bytes = number<std::uint64_t>(json, "own_rss_bytes");
    return record;
  });
}

}  // namespace mapwatch::ingest
