#include "report/publisher.h"

#include <utility>

namespace mapwatch::report {
namespace {

constexpr std::size_t kMaxIds = 65536;

Published to_published(WriteOutcome outcome) {
  switch (outcome) {
    case WriteOutcome::kWritten:
      return Published::kWritten;
    case WriteOutcome::kClosed:
      return Published::kClosed;
    case WriteOutcome::kLost:
      return Published::kLost;
  }
  return Published::kLost;
}

}  // namespace

Publisher::Publisher(PublisherOptions options, symbolize::Symbolizer& symbols, Writer& writer,
                     Suppressions& suppressions)
    : options_(options), symbols_(symbols), writer_(writer), suppressions_(suppressions) {}

void Publisher::set_process(std::uint32_t tgid, Subject subject) { subjects_[tgid] = std::move(subject); }

void Publisher::forget_process(std::uint32_t tgid) {
  subjects_.erase(tgid);
  printed_.forget_process(tgid);
}

const Subject& Publisher::subject(std::uint32_t tgid) {
  const auto found = subjects_.find(tgid);
  if (found != subjects_.end()) {
    return found->second;
  }
  unknown_.info.pid = tgid;
  return unknown_;
}

Published Publisher::publish(const correlate::Finding& finding, std::optional<Report>* report) {
  if (const auto* hazard = std::get_if<correlate::Hazard>(&finding)) {
    return publish_hazard(*hazard, report);
  }
  return publish_crash(std::get<correlate::Crash>(finding), report);
}

Published Publisher::publish_hazard(const correlate::Hazard& hazard, std::optional<Report>* out) {
  if (!hazard.print) {
    if (hidden_.contains(hazard.id)) {
      ++suppressed_;
      return Published::kSuppressed;
    }
    return Published::kRepeat;
  }
  HazardReport built = build_hazard(hazard, symbols_, subject(hazard.tgid));
  built.lost_events = lost_events_;
  if (suppressions_.hides(built)) {
    ++suppressed_;
    if (hidden_.size() < kMaxIds) {
      hidden_.insert(hazard.id);
    }
    return Published::kSuppressed;
  }
  if (shown_.size() < kMaxIds) {
    shown_.insert(hazard.id);
  }
  if (want_stop_ || (options_.max_reports && written_ >= *options_.max_reports)) {
    return Published::kHeldBack;
  }
  Report report(std::move(built));
  const Published outcome = to_published(writer_.write(report));
  if (outcome == Published::kWritten) {
    ++written_;
    printed_.note(hazard.tgid, std::get<HazardReport>(report));
    want_stop_ = want_stop_ || options_.halt_on_first;
  }
  if (out != nullptr) {
    *out = std::move(report);
  }
  return outcome;
}

Published Publisher::publish_crash(const correlate::Crash& crash, std::optional<Report>* out) {
  ++crashes_;
  CrashReport built = build_crash(crash, symbols_, subject(crash.tgid), printed_);
  if (on_crash_) {
    on_crash_(built);
  }
  if (want_stop_) {
    return Published::kHeldBack;
  }
  Report report(std::move(built));
  const Published outcome = to_published(writer_.write(report));
  if (outcome == Published::kWritten) {
    want_stop_ = want_stop_ || options_.halt_on_first;
  }
  if (out != nullptr) {
    *out = std::move(report);
  }
  return outcome;
}

Subject to_subject(const ingest::ProcessRecord& record) {
  return {{record.pid, record.ns_pid, record.exe, record.go, record.build_id, record.cgroup}, record.wall_offset_ns};
}

correlate::ProcessContext to_context(const ingest::ProcessRecord& record) {
  return {record.tgid, record.load_bias, record.build_id};
}

}  // namespace mapwatch::report
