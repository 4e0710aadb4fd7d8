// What is told to those who are to be woken: a finding as an alert, by labels that say what it is and annotations that
// tell of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace mapwatch::alert {

/// By name, valid UTF-8.
using Labels = std::map<std::string, std::string>;

/// A finding. The same labels are the same alert, whichever process it was seen in and however often.
struct Sighting {
  Labels labels;
  Labels annotations;
  std::int64_t time_ns = 0;  ///< CLOCK_REALTIME
};

struct Alert {
  Labels labels;
  Labels annotations;          ///< the last sighting's
  std::int64_t starts_ns = 0;  ///< CLOCK_REALTIME
  std::int64_t ends_ns = 0;    ///< likewise; 0: it is not over
};

/// 16 hexadecimal digits, the same as Alertmanager's for these labels (prometheus/common, model/signature.go,
/// labelSetToFingerprint: FNV-1a over names and values, each ended by 0xff).
std::string fingerprint(const Labels& labels);

/// The labels by which alerts are told together: alertname and exe.
Labels group_of(const Labels& labels);
/// As Alertmanager writes the key of a group below its root route: `{}:{alertname="x", exe="/srv/a"}`.
std::string group_key(const Labels& group);

}  // namespace mapwatch::alert
