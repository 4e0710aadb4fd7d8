// The last steps of a finding: built, suppressed or not, held to --max-reports, written, remembered for the lead of a
// crash. The watcher and replay share it, so that both say the same.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "correlate/correlator.h"
#include "ingest/record_json.h"
#include "report/builder.h"
#include "report/printed_log.h"
#include "report/suppressions.h"
#include "report/writer.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::report {

struct PublisherOptions {
  std::optional<std::uint64_t> max_reports;  ///< hazards written at most; crashes are written all the same
  bool halt_on_first = false;                ///< after one hazard or crash nothing more is written, and want_stop()
};

enum class Published {
  kWritten,
  kRepeat,  ///< seen before, not due to be printed again
  kSuppressed,
  kHeldBack,  ///< beyond max_reports, or after the first with halt_on_first
  kLost,      ///< the writer could not write it
  kClosed,    ///< nobody reads any more: detach, end quietly
};

class Publisher {
 public:
  /// `symbols`, `writer` and `suppressions` must outlive it.
  Publisher(PublisherOptions options, symbolize::Symbolizer& symbols, Writer& writer, Suppressions& suppressions);

  /// Called with each crash's report before it is written: to add its dossier.
  void on_crash(std::function<void(CrashReport&)> add) { on_crash_ = std::move(add); }
  /// Before the first finding of the process.
  void set_process(std::uint32_t tgid, Subject subject);
  void forget_process(std::uint32_t tgid);
  /// As set_process told it; only its number when that was not called.
  const ProcessInfo& process(std::uint32_t tgid) { return subject(tgid).info; }
  /// Events lost so far in all; each hazard says it.
  void set_lost_events(std::uint64_t lost) { lost_events_ = lost; }

  /// `report`, if given, gets what was written, or could not be: who is told otherwise is told all the same.
  Published publish(const correlate::Finding& finding, std::optional<Report>* report = nullptr);

  /// Distinct hazards that no suppression hides, printed or not.
  std::uint64_t hazards() const { return shown_.size(); }
  std::uint64_t crashes() const { return crashes_; }
  /// Sightings that a suppression hid.
  std::uint64_t suppressed() const { return suppressed_; }
  bool want_stop() const { return want_stop_; }

 private:
  Published publish_hazard(const correlate::Hazard& hazard, std::optional<Report>* out);
  Published publish_crash(const correlate::Crash& crash, std::optional<Report>* out);
  const Subject& subject(std::uint32_t tgid);

  PublisherOptions options_;
  std::function<void(CrashReport&)> on_crash_;
  symbolize::Symbolizer& symbols_;
  Writer& writer_;
  Suppressions& suppressions_;
  PrintedLog printed_;
  std::unordered_map<std::uint32_t, Subject> subjects_;
  Subject unknown_;                         ///< stands in for a process that set_process did not tell of
  std::unordered_set<std::string> shown_;   ///< ids
  std::unordered_set<std::string> hidden_;  ///< ids
  std::uint64_t lost_events_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t crashes_ = 0;
  std::uint64_t suppressed_ = 0;
  bool want_stop_ = false;
};

/// What a recording's 'P' chunk tells the reports and the correlator.
Subject to_subject(const ingest::ProcessRecord& record);
correlate::ProcessContext to_context(const ingest::ProcessRecord& record);

}  // namespace mapwatch::report
