#include "metrics/text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <initializer_list>
#include <utility>

namespace mapwatch::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

ClientMetric labelled(Labels labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) {
    metric.label.push_back({std::string(name), std::string(value)});
  }
  return metric;
}

/// The families, in the order in which they are written.
class Families {
 public:
  Families& counter(const char* name, const char* help) { return begin(name, help, MetricType::Counter); }
  Families& gauge(const char* name, const char* help) { return begin(name, help, MetricType::Gauge); }

  Families& add(double value, Labels labels = {}) {
    ClientMetric metric = labelled(labels);
    (families_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }
  Families& add(std::uint64_t value, Labels labels = {}) { return add(static_cast<double>(value), labels); }

  /// One for each of `names`.
  template <std::size_t N>
  void add_each(const char* label, const std::array<std::string_view, N>& names,
                const std::array<std::uint64_t, N>& counts) {
    for (std::size_t i = 0; i < N; ++i) {
      add(counts[i], {{label, names[i]}});
    }
  }

  void histogram(const char* name, const char* help, const Histogram& of) {
    begin(name, help, MetricType::Histogram);
    ClientMetric metric;
    metric.histogram.sample_count = of.count();
    metric.histogram.sample_sum = of.sum();
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
      below += of.counts()[i];
      metric.histogram.bucket.push_back({below, Histogram::kBounds[i]});
    }
    families_.back().metric.push_back(std::move(metric));
  }

  const std::vector<MetricFamily>& get() const { return families_; }

 private:
  Families& begin(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
    return *this;
  }
  std::vector<MetricFamily> families_;
};

void add_findings(Families& out, const Snapshot& now) {
  out.counter("mapwatch_hazards_total", "Overlaps of two goroutines in one map that were seen, each sighting.");
  for (const Exe& exe : now.exes) {
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      for (std::size_t severity = 0; severity < kSeverities.size(); ++severity) {
        out.add(exe.hazards[kind][severity],
                {{"exe", exe.label}, {"kind", kKinds[kind]}, {"severity", kSeverities[severity]}});
      }
    }
  }
  out.gauge("mapwatch_hazard_sites", "Distinct hazards (pairs of places in a program) seen since the start.")
      .add(now.hazard_sites);
  out.counter("mapwatch_crashes_total", "Processes seen on Go's fatal path, by class of the error.");
  for (const Exe& exe : now.exes) {
    for (std::size_t i = 0; i < kReasons.size(); ++i) {
      out.add(exe.crashes[i], {{"exe", exe.label}, {"reason", kReasons[i]}});
    }
  }
  out.counter("mapwatch_suppressed_total", "Sightings of hazards that a suppression hid.");
  for (const Exe& exe : now.exes) {
    out.add(exe.suppressed, {{"exe", exe.label}});
  }
  out.counter("mapwatch_dossiers_total", "Crashes by what became of their dossier; none: the process was not held.")
      .add_each("result", kDossiers, now.dossiers);
  out.histogram("mapwatch_freeze_duration_seconds", "How long a crashing process was held to be copied.", now.frozen);
}

void add_targets(Families& out, const Snapshot& now) {
  out.counter("mapwatch_watched_seconds_total", "Time that processes were watched, summed over processes.");
  for (const Exe& exe : now.exes) {
    out.add(exe.watched_s, {{"exe", exe.label}});
  }
  out.counter("mapwatch_hazard_seconds_total", "Of the time watched, the seconds in which a hazard was seen.");
  for (const Exe& exe : now.exes) {
    out.add(exe.hazard_s, {{"exe", exe.label}});
  }
  out.gauge("mapwatch_target_info", "Executables of which processes are watched now.");
  for (const Exe& exe : now.exes) {
    for (const TargetInfo& info : exe.infos) {
      out.add(1.0, {{"exe", exe.label}, {"go_version", info.go_version}, {"mode", info.mode}, {"state", info.state}});
    }
  }
  const auto running = [&](const char* name, const char* help, double Exe::*value) {
    out.gauge(name, help);
    for (const Exe& exe : now.exes) {
      if (exe.processes > 0) {
        out.add(exe.*value, {{"exe", exe.label}});
      }
    }
  };
  running("mapwatch_overhead_ratio", "Share of its CPU time that a process pays, over ten seconds; of the dearest one.",
          &Exe::overhead);
  running("mapwatch_budget_ratio", "Share of its CPU time that the process of mapwatch_overhead_ratio may pay.",
          &Exe::budget);
  running("mapwatch_sampling_ratio", "Share of the map operations that is seen; of the process where it is least.",
          &Exe::seen_share);
  out.gauge("mapwatch_targets", "Go processes that were chosen and run now.")
      .add(now.watched, {{"state", "watched"}})
      .add(now.refused, {{"state", "refused"}});
  out.counter("mapwatch_processes_total", "Processes that were chosen, by what became of that.")
      .add_each("result", kProcesses, now.processes);
  out.counter("mapwatch_attach_errors_total", "Processes that could not be watched, by kind of error.")
      .add_each("reason", kAttachErrors, now.attach_errors);
  out.histogram("mapwatch_attach_duration_seconds", "How long it took until all probes stood.", now.attach);
}

void add_probes(Families& out, const Snapshot& now) {
  out.counter("mapwatch_operations_total", "Map operations of watched processes that a probe saw.").add(now.operations);
  out.counter("mapwatch_probe_hits_total", "Traps at probes, by what the probe sits on.")
      .add_each("probe", kProbes, now.probe_hits);
  out.gauge("mapwatch_probe_attached", "Probes that are armed now, by what they sit on.")
      .add_each("probe", kProbes, now.probes);
  out.counter("mapwatch_dwells_total", "Times that a goroutine was held to see an overlap.").add(now.dwells);
  out.counter("mapwatch_held_seconds_total", "Time that goroutines were held, summed over goroutines.").add(now.held_s);
  if (now.bpf_runs > 0) {
    out.counter("mapwatch_bpf_runs_total", "Runs of BPF programs, by the kernel's count.").add(now.bpf_runs);
    out.counter("mapwatch_bpf_run_seconds_total", "Time in BPF programs, by the kernel's count.").add(now.bpf_run_s);
  }
}

void add_alerts(Families& out, const Snapshot& now) {
  const auto each = [&](std::uint64_t Sends::*field) {
    for (std::size_t i = 0; i < kReceivers.size(); ++i) {
      out.add(now.sends[i].*field, {{"receiver", kReceivers[i]}});
    }
  };
  out.counter("mapwatch_webhook_sends_total", "Tries to send findings to a receiver, by result.");
  for (std::size_t i = 0; i < kReceivers.size(); ++i) {
    for (std::size_t result = 0; result < kSends.size(); ++result) {
      out.add(now.sends[i].tries[result], {{"receiver", kReceivers[i]}, {"result", kSends[result]}});
    }
  }
  out.gauge("mapwatch_webhook_spooled", "Notifications that wait for a receiver.");
  each(&Sends::waiting);
  out.gauge("mapwatch_webhook_spooled_bytes", "Bytes of notifications that wait for a receiver.");
  each(&Sends::waiting_bytes);
  out.counter("mapwatch_webhook_dropped_total", "Notifications given up because too many waited.");
  each(&Sends::dropped);
  out.counter("mapwatch_webhook_spool_errors_total", "Times that waiting notifications could not be put on the disk.");
  each(&Sends::unkept);
  out.counter("mapwatch_exec_runs_total", "Commands of --exec, by how they ended.")
      .add_each("result", kCommands, now.commands);
  out.counter("mapwatch_journal_entries_total", "Findings for the journal, by what became of them.")
      .add_each("result", kEntries, now.entries);
}

void add_self(Families& out, const Snapshot& now) {
  out.gauge("mapwatch_build_info", "Always 1; the version is in the label.").add(1.0, {{"version", now.version}});
  out.counter("mapwatch_events_received_total", "Events taken from the kernel's ring.").add(now.events);
  out.counter("mapwatch_events_lost_total", "Events and findings that were lost, by stage.")
      .add_each("stage", kStages, now.lost);
  if (now.last_event_s) {
    out.gauge("mapwatch_last_event_timestamp_seconds", "When the last event came.").add(*now.last_event_s);
  }
  out.gauge("mapwatch_ring_bytes", "Size of the kernel's ring.").add(now.ring_bytes);
  out.gauge("mapwatch_ring_used_bytes", "Bytes that waited in the ring.").add(now.ring_used_bytes);
  out.gauge("mapwatch_queue_length", "Findings that wait to be written.").add(now.queue_length);
  out.gauge("mapwatch_symbol_cache_bytes", "Bytes of function and file names that are kept.")
      .add(now.symbol_cache_bytes);
  out.gauge("mapwatch_snapshot_timestamp_seconds", "When these figures were taken.").add(now.time_s);
  out.gauge("mapwatch_config_last_reload_successful", "Whether the last reading of the configuration succeeded.")
      .add(now.reload_good ? 1.0 : 0.0);
  out.gauge("mapwatch_config_last_reload_success_timestamp_seconds", "When the configuration in force was read.")
      .add(now.reload_s);
  out.counter("mapwatch_config_reloads_total", "Reloads of the configuration that were asked for, by result.")
      .add(now.reloads_good, {{"result", "success"}})
      .add(now.reloads_bad, {{"result", "failure"}});
  out.counter("process_cpu_seconds_total", "CPU time of mapwatch itself.").add(now.own.cpu_s);
  out.gauge("process_resident_memory_bytes", "Resident memory of mapwatch itself.").add(now.own.rss_bytes);
  out.gauge("process_virtual_memory_bytes", "Virtual memory of mapwatch itself.").add(now.own.virtual_bytes);
  out.gauge("process_open_fds", "Open file descriptors.").add(now.own.open_fds);
  out.gauge("process_max_fds", "The most file descriptors that may be open.").add(now.own.max_fds);
  out.gauge("process_threads", "Threads of mapwatch itself.").add(now.own.threads);
  out.gauge("process_start_time_seconds", "When mapwatch was started.").add(now.own.start_s);
}

}  // namespace

Result<std::string> to_text(const Snapshot& snapshot) {
  try {
    Families families;
    add_findings(families, snapshot);
    add_targets(families, snapshot);
    add_probes(families, snapshot);
    add_alerts(families, snapshot);
    add_self(families, snapshot);
    return prometheus::TextSerializer().Serialize(families.get());
  } catch (const std::exception& error) {
    return fail(ErrorKind::kFailed, std::string("cannot write the metrics: ") + error.what());
  }
}

}  // namespace mapwatch::metrics
