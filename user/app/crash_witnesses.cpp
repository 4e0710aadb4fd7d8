#include "app/crash_witnesses.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/escape.h"

namespace mapwatch::app {
namespace {

constexpr std::size_t kMostText = 64 << 10;  // Go's error comes first
constexpr std::chrono::milliseconds kLookAgain(100);

}  // namespace

CrashWitnesses::CrashWitnesses(int pid, const proc::ProcFs& procfs, const Clock& clock, witness::Journal journal)
    : pid_(pid),
      clock_(clock),
      journal_(std::move(journal)),
      stderr_(witness::StderrPlace::of(pid, procfs)),
      kernel_log_(witness::KernelLog::open_at_end()) {
  seen_.err.kind = stderr_.kind();
  seen_.err.name = stderr_.name();
  seen_.err.unreadable = stderr_.unreadable();
  seen_.journal.there = journal_.there();
  seen_.kernel_log.error = kernel_log_ ? "" : kernel_log_.error().message;
}

const dossier::WitnessesSeen& CrashWitnesses::look() {
  seen_.err.growth = stderr_.growth(kMostText);
  if (kernel_log_) {
    auto more = kernel_log_->lines_of(pid_);
    auto& found = seen_.kernel_log.found;
    found.cut = found.cut || more.cut;
    std::ranges::move(more.lines, std::back_inserter(found.lines));
  }
  return seen_;
}

const dossier::WitnessesSeen& CrashWitnesses::ask_all(const std::string& reason, const ClockReading& crash,
                                                      std::uint64_t until_ns) {
  dossier::JournalSeen& journal = seen_.journal;
  journal.asked = true;
  journal.error = "mapwatch ended before it could be asked";
  for (std::uint64_t now = clock_.monotonic_ns(); journal.there && now < until_ns; now = clock_.monotonic_ns()) {
    const auto left = std::chrono::milliseconds((until_ns - now) / 1'000'000 + 1);
    auto lines = journal_.lines(pid_, crash.realtime_ns / 1'000'000'000 - 1, left);
    journal.error = lines ? "" : lines.error().message;
    if (!lines) {
      break;
    }
    journal.found = std::move(*lines);
    const bool came = std::ranges::any_of(journal.found.lines, [&](const witness::JournalLine& line) {
      return escape(line.message).find(reason) != std::string::npos;
    });
    // What a process writes on a socket is there when journald gets round to reading it.
    if (came || stderr_.kind() != witness::StderrKind::kSocket) {
      break;
    }
    std::this_thread::sleep_for(kLookAgain);
  }
  return look();
}

}  // namespace mapwatch::app
