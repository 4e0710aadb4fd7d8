#include "ops/slo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "base/proc.h"
#include "ops/yaml_reader.h"

namespace mapwatch::ops {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20;
constexpr std::size_t kMostObjectives = 100;
constexpr double kMostWindowS = 366.0 * 86'400;
constexpr double kLeastWindowS = 3'600;

struct SourceName {
  Source source;
  std::string_view name;
  std::set<std::string_view> keys;  ///< besides name, kind and exe; all are required
};

const std::array<SourceName, 5>& sources() {
  static const std::array<SourceName, 5> all = {{
      {Source::kHazards, "hazards", {"target"}},
      {Source::kCrashes, "crashes", {"most"}},
      {Source::kOverhead, "overhead", {"most"}},
      {Source::kRatio, "ratio", {"target", "error_query", "total_query"}},
      {Source::kLatency, "latency", {"target", "most", "query"}},
  }};
  return all;
}

/// A number and its unit, which `units` gives the worth of.
std::optional<double> with_unit(std::string_view text,
                                std::initializer_list<std::pair<std::string_view, double>> units) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) {
    return std::nullopt;
  }
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, worth] : units) {
    if (unit == name) {
      return value * worth;
    }
  }
  return std::nullopt;
}

std::optional<double> seconds(std::string_view text) {
  return with_unit(text, {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3'600}, {"d", 86'400}, {"w", 604'800}});
}

std::optional<double> share(std::string_view text) { return with_unit(text, {{"%", 0.01}}); }

class Reader : YamlReader {
 public:
  Reader(const YAML::Node& root, const std::string& name) : YamlReader(name), root_(root) {}

  Result<Slo> read() {
    if (!root_.IsMap()) {
      return wrong(name_, "is no SLO file: it has no keys", "service: NAME, objectives: [...]");
    }
    TRY(only(root_, {"service", "window", "warn_below", "objectives"}));
    Slo slo;
    slo.service = TRY(text(root_, "service"));
    if (root_["window"]) {
      const std::string given = TRY(text(root_, "window"));
      const auto window = seconds(given);
      if (!window || *window < kLeastWindowS || *window > kMostWindowS) {
        return wrong(at(root_["window"]), fmt::format("window \"{}\" is not from 1h to 366d", given));
      }
      slo.window_s = static_cast<std::uint64_t>(*window);
    }
    if (root_["warn_below"]) {
      slo.warn_below = TRY(share_of(root_, "warn_below", 0, 1));
    }
    const YAML::Node list = root_["objectives"];
    if (!list || !list.IsSequence() || list.size() == 0 || list.size() > kMostObjectives) {
      return wrong(name_, fmt::format("objectives: there must be from 1 to {}", kMostObjectives));
    }
    std::set<std::string> names;
    for (const YAML::Node& each : list) {
      slo.objectives.push_back(TRY(objective(each)));
      if (!names.insert(slo.objectives.back().name).second) {
        return wrong(at(each), fmt::format("there are two objectives named {}", slo.objectives.back().name));
      }
    }
    return slo;
  }

 private:
  Result<double> share_of(const YAML::Node& node, const char* key, double least, double most) const {
    const std::string given = TRY(text(node, key));
    const auto value = share(given);
    if (!value || *value < least || *value > most) {
      return wrong(at(node[key]), fmt::format("{} \"{}\" is not from {}% to {}%", key, given, 100 * least, 100 * most),
                   "with its unit: 99.9%");
    }
    return *value;
  }

  Result<Objective> objective(const YAML::Node& node) const {
    if (!node.IsMap()) {
      return wrong(at(node), "an objective has a name and a kind");
    }
    Objective result;
    result.name = TRY(text(node, "name"));
    const std::string kind = TRY(text(node, "kind"));
    const auto source = std::ranges::find(sources(), kind, &SourceName::name);
    if (source == sources().end()) {
      return wrong(at(node["kind"]),
                   fmt::format("kind \"{}\" is none of hazards, crashes, overhead, ratio, latency", kind));
    }
    result.source = source->source;
    std::set<std::string_view> known = source->keys;
    known.insert({"name", "kind"});
    const bool by_query = !source->keys.contains("query") && !source->keys.contains("error_query");
    if (by_query) {
      known.insert("exe");
    }
    TRY(only(node, known));
    if (by_query && node["exe"]) {
      result.exe = TRY(text(node, "exe"));
    }
    if (source->keys.contains("target")) {
      result.target = TRY(share_of(node, "target", 0, 0.999999999));
    }
    if (source->keys.contains("most")) {
      result.most = TRY(most(node, result.source));
    }
    if (source->keys.contains("query")) {
      result.query = TRY(text(node, "query"));
    }
    if (source->keys.contains("error_query")) {
      result.error_query = TRY(ranged(node, "error_query"));
      result.total_query = TRY(ranged(node, "total_query"));
    }
    return result;
  }

  Result<double> most(const YAML::Node& node, Source source) const {
    const std::string given = TRY(text(node, "most"));
    const bool is_share = source == Source::kOverhead;
    const auto value = is_share                     ? share(given)
                       : source == Source::kLatency ? seconds(given)
                                                    : with_unit(given, {{"", 1}, {"/day", 1}, {"/week", 1.0 / 7}});
    if (!value || *value <= 0 || (is_share && *value > 1)) {
      return wrong(at(node["most"]), fmt::format("most \"{}\" is no amount above 0", given),
                   is_share                     ? "a share: 1%"
                   : source == Source::kLatency ? "a time: 250ms"
                                                : "crashes of a process: 0.1/day");
    }
    return *value;
  }

  Result<std::string> ranged(const YAML::Node& node, const char* key) const {
    const std::string query = TRY(text(node, key));
    if (query.find("[$window]") == std::string::npos) {
      return wrong(at(node[key]), fmt::format("{} has no [$window]: it would not be of any span of time", key),
                   "sum(rate(http_requests_total{code=~\"5..\"}[$window]))");
    }
    return query;
  }

  const YAML::Node& root_;
};

}  // namespace

double Objective::allowed() const {
  return source == Source::kCrashes || source == Source::kOverhead ? most : 1 - target;
}

Result<Slo> parse_slo(std::string_view text, const std::string& name) {
  try {
    const YAML::Node root = TRY(load_yaml(text, name));
    return Reader(root, name).read();
  } catch (const YAML::Exception& error) {
    return yaml_error(error, name);
  }
}

Result<Slo> read_slo(const std::string& path) {
  const auto text = proc::read_file(path, kMaxFile + 1);
  if (!text) {
    return fail(ErrorKind::kUsage, text.error().message, text.error().hint);
  }
  if (text->size() > kMaxFile) {
    return wrong(path, "is larger than 1 MiB");
  }
  return parse_slo(*text, path);
}

}  // namespace mapwatch::ops
