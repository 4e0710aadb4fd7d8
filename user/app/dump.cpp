#include "app/dump.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attach/target.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/time_namespace.h"
#include "base/write_all.h"
#include "dossier/goroutine_json.h"
#include "dossier/maps_in_use_text.h"
#include "dossier/goroutine_groups.h"
#include "dossier/traceback.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"
#include "forensics/bounded_memory.h"
#include "forensics/core_memory.h"
#include "forensics/goroutine_copy.h"
#include "forensics/goroutine_decode.h"
#include "forensics/live_memory.h"
#include "forensics/maps_in_use.h"
#include "forensics/thread_stop.h"

namespace mapwatch::app {
namespace {

using forensics::GoProcess;

/// Where the goroutines come from, as the output names it.
struct Origin {
  std::string name;  ///< "PID 4211 (/srv/app)"
  std::optional<std::uint32_t> pid;
  std::string exe;
  std::optional<std::uint64_t> held_ns;
  bool cut = false;  ///< --max-freeze was over before all was copied
};

/// While it lives, mapwatch ends itself when the process was held for longer than allowed: the kernel then lets go.
/// Copying stops in time by itself; this is for a read that hangs in the kernel (userfaultfd, a dead network file
/// system), which only a fatal signal ends: the exit of the whole process is one, a handler's return is not.
class LastResort {
 public:
  explicit LastResort(std::uint64_t ns) : thread_([this, ns] { wait(std::chrono::nanoseconds(ns)); }) {}
  ~LastResort() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;

 private:
  void wait(std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, time, [this] { return done_; })) {
      constexpr std::string_view kText =
          "mapwatch: --max-freeze is over and a read still hangs: the process is let go\n";
      [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
      ::_exit(log::exit_status(ErrorKind::kFailed));
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;  // last: it uses the others
};

constexpr std::size_t kShownEntries = 100;
constexpr std::uint64_t kCoreMapsNs = 60'000'000'000;

forensics::MapRequest map_request(const cli::Options& options, std::uint64_t time_ns) {
  forensics::MapRequest request;
  request.limits.time_ns = time_ns;
  request.limits.entries = options.show_keys ? kShownEntries : 0;
  request.style.redact = options.redact || !options.show_keys;  // a finding may name a key
  return request;
}

std::string json_of(const forensics::Goroutines& goroutines, const forensics::MapsInUse& maps, const Origin& origin,
                    const std::string& go) {
  using Json = nlohmann::ordered_json;
  Json json = {
      {"schema_version", 1},
      {"kind", "dump"},
      {"process", {{"pid", origin.pid ? Json(*origin.pid) : Json(nullptr)}, {"exe", escape(origin.exe)}, {"go", go}}},
      {"held_ns", origin.held_ns ? Json(*origin.held_ns) : Json(nullptr)},
      {"partial", origin.cut},
      {"goroutines", goroutines.list.size()},
      {"maps", maps.list.size()},
      {"notes", goroutines.notes}};
  json["scheduler"] = Json::parse(dossier::scheduler_json(goroutines));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<void> print(const forensics::Goroutines& goroutines, const forensics::MapsInUse& maps, const GoProcess& process,
                   const Origin& origin, const cli::Options& options) {
  dossier::FrameNames names(*process.binary, process.bias);
  Result<void> written;
  const auto sink = [&written](std::string_view text) {
    written = written ? write_all(STDOUT_FILENO, text, "stdout") : written;
  };
  if (options.output == cli::Output::kJson) {
    sink(json_of(goroutines, maps, origin, process.binary->version().text));
    std::string text;
    for (const forensics::MapInUse& map : maps.list) {
      text += dossier::map_in_use_json(map) + "\n";
    }
    for (const forensics::Goroutine& goroutine : goroutines.list) {
      const std::string object = dossier::goroutine_json(goroutines, goroutine, names);
      text += R"({"schema_version":1,"kind":"goroutine",)" + object.substr(1) + "\n";
      if (text.size() > 65536) {
        sink(text);
        text.clear();
      }
    }
    sink(text);
    return written;
  }
  const dossier::TracebackStyle style{options.verbose >= 2, 0};
  const auto shown = std::ranges::count_if(goroutines.list, [&](const forensics::Goroutine& goroutine) {
    return style.system || !names.system_goroutine(goroutine);
  });
  sink(fmt::format("{}, {}: {} goroutines, {} of the runtime itself{}\n\n", origin.name, process.binary->version().text,
                   goroutines.list.size(), goroutines.list.size() - static_cast<std::size_t>(shown),
                   style.system ? "" : " (-vv shows them)"));
  if (options.verbose > 0) {
    dossier::write_traceback(goroutines, names, style, sink);
  } else {
    dossier::write_groups(dossier::group_goroutines(goroutines, names, style), names, style, 0, sink);
  }
  dossier::write_scheduler(goroutines, names, sink);
  sink(maps.list.empty() ? "\nno goroutine is inside a map operation\n" : "\n" + dossier::maps_in_use_text(maps));
  return written;
}

Result<void> finish(const forensics::GoroutineCopy& copy, const forensics::MapsInUse& maps, const GoProcess& process,
                    const Origin& origin, const cli::Options& options) {
  forensics::Goroutines goroutines = forensics::decode_goroutines(copy, process);
  goroutines.notes.insert(goroutines.notes.end(), maps.notes.begin(), maps.notes.end());
  for (const std::string& note : goroutines.notes) {
    log::warn("{}: {}", origin.name, log::printable(note));
  }
  if (origin.cut) {
    log::warn("{}: not everything could be copied within --max-freeze: what is missing is marked", origin.name);
  }
  TRY(print(goroutines, maps, process, origin, options));
  if (origin.held_ns) {
    log::info("{} was held for {:.1f} ms", origin.name, static_cast<double>(*origin.held_ns) / 1e6);
  }
  return {};
}

Result<void> dump_live(const cli::Options& options) {
  const SystemClock clock;
  const int pid = options.pids.front();
  const proc::ProcFs procfs(options.procfs);
  const attach::Target target = TRY(attach::Target::open(pid, procfs));
  const elf::MappedFile file = TRY(elf::MappedFile::from_fd(target.exe_fd(), target.exe_path()));
  const elf::GoBinary binary = TRY(elf::GoBinary::parse(file.bytes()));
  const GoProcess process = GoProcess::of(binary, TRY(target.load_bias(binary)));
  Origin origin{fmt::format("PID {} ({})", pid, escape(target.exe_path())), pid, target.exe_path(), {}, false};

  const std::uint64_t begin = clock.monotonic_ns();
  // A quarter is left for letting go and for the batch that was under way.
  const std::uint64_t copying_ns = options.max_freeze_ns / 4 * 3;
  std::optional<LastResort> last_resort(std::in_place, options.max_freeze_ns);
  const auto stop_ms = static_cast<int>(std::max<std::uint64_t>(1, copying_ns / 1'000'000));
  auto stop = TRY(forensics::ThreadStop::all(pid, stop_ms, procfs));
  // Its mappings are those of the moment.
  const auto memory = forensics::LiveMemory::open(pid, procfs);
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  TRY(target.check());
  const forensics::BoundedMemory bounded(*memory, clock, begin + copying_ns);
  auto copy = forensics::copy_goroutines(bounded, process, stop.registers());
  forensics::MapsInUse maps;
  if (copy && !bounded.cut()) {
    maps = forensics::find_maps_in_use(*copy, process, bounded, clock, begin + copying_ns);
    const std::uint64_t now = clock.monotonic_ns();
    const std::uint64_t left_ns = now < begin + copying_ns ? begin + copying_ns - now : 0;
    forensics::read_maps_in_use(maps, bounded, process, map_request(options, left_ns), clock);
  }
  stop.release();
  last_resort.reset();
  origin.held_ns = clock.monotonic_ns() - begin;
  origin.cut = bounded.cut();
  if (!copy && origin.cut) {
    return fail(ErrorKind::kFailed, origin.name + ": --max-freeze was over before its goroutines were copied",
                "give --max-freeze more time, e.g. 10s");
  }
  if (copy) {
    copy->now_ns += static_cast<std::uint64_t>(proc::monotonic_offset_ns(pid, procfs));
  }
  return finish(TRY(std::move(copy)), maps, process, origin, options);
}

Result<void> dump_core(const cli::Options& options) {
  const std::string& exe = options.exe_globs.front();
  const elf::MappedFile core = TRY(elf::MappedFile::open(options.core));
  const elf::MappedFile file = TRY(elf::MappedFile::open(exe));
  const elf::GoBinary binary = TRY(elf::GoBinary::parse(file.bytes()));
  const auto memory = TRY(forensics::CoreMemory::parse(core.bytes(), file.bytes()));
  const std::uint64_t bias = TRY(memory.load_bias());
  const GoProcess process = GoProcess::of(binary, bias);
  auto copy = TRY(forensics::copy_goroutines(memory, process, memory.registers()));
  copy.now_ns = 0;  // when the core was written is not known, so for how long they wait is not
  const SystemClock clock;
  forensics::MapsInUse maps = forensics::find_maps_in_use(copy, process, memory, clock, UINT64_MAX);
  forensics::read_maps_in_use(maps, memory, process, map_request(options, kCoreMapsNs), clock);
  return finish(copy, maps, process, {fmt::format("core {}", escape(options.core)), {}, exe, {}, false}, options);
}

}  // namespace

int run_dump(const cli::Options& options) {
  const auto done = options.core.empty() ? dump_live(options) : dump_core(options);
  if (!done) {
    log::print_error(done.error());
    return log::exit_status(done.error().kind);
  }
  return 0;
}

}  // namespace mapwatch::app
