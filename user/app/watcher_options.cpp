#include "app/watcher_options.h"

#include <algorithm>
#include <cmath>

#include "attach/cpu_limits.h"
#include "base/proc.h"

namespace mapwatch::app {

namespace {

// The allowance (design.md section 3, step 4). Fewer than 1 in 100 operations of a map are held, so that the 99th
// percentile of their latency is not a held one; docs/overlap-detector.md has the figures.
constexpr std::uint32_t kDwellNs = 50'000;
constexpr std::uint32_t kDwellMaxNs = 200'000;
constexpr std::uint32_t kHoldMaxNs = 200'000;
constexpr std::uint32_t kHeldPerSecond = 20;
constexpr std::uint32_t kHeldOneIn = 128;
constexpr std::uint64_t kBurstNs = 5'000'000;
// What the detector does on top of an empty program (docs/figures.md).
constexpr double kDetectorNs = 100;
// A hit in a program costs so many times one in a loop of its own, where caches and predictors are warm: 1.5 to 2.5
// times in etcd, NATS, caddy, a TSDB and an HTTP service (docs/figures.md).
constexpr double kInPrograms = 2;

}  // namespace

correlate::Correlator::Options correlator_options(const cli::Options& options) {
  correlate::Correlator::Options out;
  out.all_fatals = options.on_fatal == "all";
  return out;
}

govern::CostModel cost_model(const attach::SelfTest& self_test) {
  govern::CostModel costs;
  for (const mw_site_class each : {MW_SITE_PUSH, MW_SITE_JCC, MW_SITE_CALL, MW_SITE_ENTRY}) {
    if (const double ns = self_test.ns_per_hit[each]; ns > 0) {
      costs.ns_per_hit[each] = kInPrograms * (ns + kDetectorNs);
    }
  }
  return costs;
}

std::uint32_t budget_ppm(const cli::Options& options) {
  return static_cast<std::uint32_t>(std::lround(std::clamp(options.budget, 0.0, 1.0) * 1e6));
}

mw_policy policy_for(const cli::Options& options, const attach::CpuLimits& limits) {
  const std::uint64_t upper = options.dwell_ns.value_or(kDwellMaxNs);
  mw_policy policy = {};
  policy.flags = limits.may_dwell() && upper > 0 ? 0 : MW_POLICY_MARK_ONLY;
  policy.dwell_ns = static_cast<std::uint32_t>(std::min<std::uint64_t>(kDwellNs, upper));
  policy.dwell_max_ns = static_cast<std::uint32_t>(std::min<std::uint64_t>(kDwellMaxNs, upper));
  policy.hold_max_ns = kHoldMaxNs;
  policy.per_second = kHeldPerSecond;
  policy.one_in = kHeldOneIn;
  policy.share_ppm = budget_ppm(options);
  policy.burst_ns = kBurstNs;
  return policy;
}

}  // namespace mapwatch::app
