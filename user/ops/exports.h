// What Prometheus, Grafana, systemd and Kubernetes are given to run and to read mapwatch, as text (docs/exports.md).
#pragma once

#include <string>

namespace mapwatch::ops {

/// Recording and alerting rules for Prometheus: burn rates of two budgets by kBurnRules, what was found, how mapwatch
/// is.
std::string alert_rules();

/// A dashboard for Grafana 9 or newer, as its JSON model. Its uid is the same in every version.
std::string dashboard();

/// A unit for systemd 247 or newer that runs `mapwatch daemon`.
std::string systemd_unit();

/// Manifests for Kubernetes 1.30 or newer: a DaemonSet that is not privileged, and what it needs.
std::string kubernetes();

}  // namespace mapwatch::ops
