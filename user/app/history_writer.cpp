#include "app/history_writer.h"

#include <filesystem>
#include <numeric>

#include "base/log.h"
#include "base/make_directories.h"

namespace mapwatch::app {
namespace {

constexpr double kEveryS = 60;

/// What a total grew by; one that is smaller than it was began anew.
template <typename T>
T grown(T now, T before) {
  return now >= before ? now - before : now;
}

}  // namespace

void HistoryWriter::take(const metrics::Snapshot& snapshot, bool last) {
  const bool early = since_s_ && snapshot.time_s >= *since_s_ && snapshot.time_s < *since_s_ + kEveryS;
  if (early && !last) {
    return;
  }
  since_s_ = snapshot.time_s;
  const auto done = write(snapshot);
  failed_ += done ? 0 : 1;
  if (!done && !told_) {
    log::warn("the history is not written: {}", done.error().message);
  }
  told_ = !done;
}

Result<void> HistoryWriter::write(const metrics::Snapshot& snapshot) {
  if (!history_) {
    TRY(make_directories(std::filesystem::path(path_).parent_path().string()));
    history_.emplace(TRY(ops::History::create(path_)));
  }
  std::vector<ops::HistoryRow> rows;
  std::map<std::string, Written> now;
  for (const metrics::Exe& exe : snapshot.exes) {
    const std::uint64_t crashes = std::accumulate(exe.crashes.begin(), exe.crashes.end(), std::uint64_t{0});
    const auto before = written_.find(exe.label);
    const Written from = before == written_.end() ? Written{} : before->second;
    now[exe.label] = {exe.watched_s, exe.hazard_s, crashes};
    const ops::HistoryRow row{exe.label, grown(exe.watched_s, from.watched_s), grown(exe.hazard_s, from.hazard_s),
                              grown(crashes, from.crashes), exe.overhead};
    if (row.watched_s > 0 || row.hazard_s > 0 || row.crashes > 0) {
      rows.push_back(row);
    }
  }
  TRY(history_->add(static_cast<std::int64_t>(snapshot.time_s), rows));
  written_ = std::move(now);
  return {};
}

}  // namespace mapwatch::app
