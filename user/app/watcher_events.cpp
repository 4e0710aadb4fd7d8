// What the watcher does with the kernel side's events.
#include <algorithm>

#include <fmt/format.h>

#include "app/vouch.h"
#include "app/watcher.h"
#include "base/log.h"
#include "ingest/record_json.h"
#include "report/frozen_record.h"

namespace mapwatch::app {

namespace {

/// The probe that sent the event; nullptr when there is no such probe.
const attach::ProbeSpec* probe_of(const Arm& arm, const Governor& governor, const ingest::Event& event) {
  const auto& probes = arm.plan().probes;
  if (const auto* access = std::get_if<ingest::AccessEvent>(&event)) {
    return governor.probe_at(access->site);
  }
  if (const auto* fatal = std::get_if<ingest::FatalEvent>(&event)) {
    const auto found = std::ranges::find(probes, fatal->op, &attach::ProbeSpec::op);
    return found == probes.end() ? nullptr : &*found;
  }
  return nullptr;
}

}  // namespace

void Watcher::record(ingest::ChunkTag tag, Bytes payload) {
  if (!recorder_) {
    return;
  }
  if (auto written = recorder_->append(tag, payload); !written) {
    log::print_error(written.error());
  }
}

void Watcher::record_published(const report::Report& report, std::uint32_t tgid) {
  ingest::ReportedRecord out;
  out.tgid = tgid;
  if (const auto* hazard = std::get_if<report::HazardReport>(&report)) {
    out.id = hazard->id;
    out.count = hazard->count;
    out.printed_ns = hazard->printed_ns;
  } else if (const auto* crash = std::get_if<report::CrashReport>(&report)) {
    out.id = crash->id;
    out.printed_ns = crash->printed_ns;
    record(ingest::ChunkTag::kFrozen, ingest::encode(report::to_record(tgid, *crash)));
  } else {
    return;
  }
  record(ingest::ChunkTag::kReported, ingest::encode(out));
}

void Watcher::disable(std::uint32_t tgid, const std::string& why) {
  ++disabled_;
  log::print_error(
      {ErrorKind::kUnsupported,
       fmt::format("PID {} is not watched any more: {}, so the layout used for its version of Go is wrong", tgid, why),
       "update mapwatch, or build the program without -s -w: its DWARF then tells the layout"});
  (void)correlator_.forget_process(tgid);  // the halves that wait are as little worth
  retire(static_cast<int>(tgid));
}

Watcher::Known Watcher::introduce_adopted(const ingest::Event& event) {
  const ingest::EventHead& head =
      std::visit([](const auto& any) -> const ingest::EventHead& { return any.head; }, event);
  if (const auto known = introduced_.find(head.tgid); known != introduced_.end()) {
    return known->second;
  }
  const std::shared_ptr<Arm> arm = arms_->by_layout(head.layout);
  const attach::ProbeSpec* probe = arm && arm->wide() ? probe_of(*arm, *governor_, event) : nullptr;
  if (probe == nullptr) {
    return {};
  }
  // It may be gone by now, and its mappings with it: the probe's own address tells where the file lay.
  const auto* access = std::get_if<ingest::AccessEvent>(&event);
  const std::vector<std::uint64_t>& stack =
      access != nullptr ? access->stack : std::get<ingest::FatalEvent>(event).stack;
  const std::uint64_t at = stack.empty() ? 0 : stack.front();
  const Known known{arm, at >= probe->address ? at - probe->address : 0};
  const auto exe = proc::ProcFs(options_.procfs).exe(static_cast<int>(head.tgid));
  introduce(
      head.tgid, *arm, known.bias,
      {head.tgid, head.tgid, exe ? exe->path : arm->path(), arm->program()->go(), arm->program()->build_id(), ""});
  introduced_.insert_or_assign(head.tgid, known);
  return known;
}

void Watcher::on_record(Bytes bytes, Turn& turn) {
  ++events_;
  // First of all: a process may stand still for this event.
  std::optional<Freezer::Capture> capture;
  const auto head = bytes.read<mw_event_head>(0);
  if (head && head->kind == MW_EVENT_NEW) {
    turn.news.push_back({static_cast<int>(head->tgid), head->time_ns, head->layout != MW_NO_LAYOUT});
    return;
  }
  if (head && head->kind == MW_EVENT_FATAL) {
    const auto found = targets_.find(static_cast<int>(head->tgid));
    capture = freezer_->capture(bytes, found == targets_.end() ? nullptr : &found->second.target);
    bytes = capture ? Bytes(&capture->event, sizeof(capture->event)) : bytes;
  }
  auto event = ingest::decode(bytes);
  std::vector<std::byte> vouched;
  if (event) {
    const std::uint32_t tgid = std::visit([](const auto& any) { return any.head.tgid; }, *event);
    if (const auto why = trust_.judge(*event)) {
      disable(tgid, *why);
    }
    if (trust_.distrusts(tgid)) {
      return;  // not recorded either: a replay tells what the run told
    }
    const auto target = targets_.find(static_cast<int>(tgid));
    const Known known =
        target == targets_.end() ? introduce_adopted(*event) : Known{target->second.arm, target->second.bias};
    vouched = vouch(*event, bytes, known.arm ? known.arm->program().get() : nullptr, known.bias);
    bytes = vouched.empty() ? bytes : Bytes(vouched.data(), vouched.size());
  }
  record(ingest::ChunkTag::kEvent, bytes);
  if (!event) {
    ++malformed_;
    log::warn("kernel event not understood: {}", event.error().message);
    return;
  }
  if (const auto* exec = std::get_if<ingest::ExecEvent>(&*event)) {
    turn.execs.push_back(static_cast<int>(exec->head.tgid));
  }
  if (const auto* over = std::get_if<ingest::OverEvent>(&*event)) {
    governor_->tripped(over->head.tgid, over->epoch);
  }
  if (const auto* access = std::get_if<ingest::AccessEvent>(&*event)) {
    governor_->overlap(access->head.tgid, access->site);
  }
  if (const auto* fatal = std::get_if<ingest::FatalEvent>(&*event); fatal != nullptr && !capture) {
    crash_recorder_.also_fatal(*fatal);
  }
  std::vector<correlate::Finding> findings = correlator_.add(*event);
  for (correlate::Finding& finding : findings) {
    if (auto* crash = std::get_if<correlate::Crash>(&finding); crash != nullptr && capture) {
      crash->frozen_ns = capture->frozen_ns;
    }
  }
  publish(std::move(findings));
}

void Watcher::publish(std::vector<correlate::Finding> findings) {
  for (correlate::Finding& finding : findings) {
    reports_.offer([this, finding = std::move(finding)] {
      std::optional<report::Report> written;
      const report::Published outcome = publisher_.publish(finding, &written);
      const std::uint32_t tgid = std::visit([](const auto& any) { return any.tgid; }, finding);
      if (outcome == report::Published::kWritten && written) {
        record_published(*written, tgid);
      }
      for (const Observer& observer : observers_) {
        observer(finding, outcome, written, publisher_.process(tgid));
      }
      if (outcome == report::Published::kClosed || publisher_.want_stop()) {
        stop_.store(true);
      }
    });
  }
}

}  // namespace mapwatch::app
