// The label values that are known beforehand: each is there from the start, at 0, so that rate() and absent() work
// (prometheus.io/docs/practices/instrumentation, "Avoid missing metrics").
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mapwatch::metrics {

/// What the two sides of a hazard did.
inline constexpr std::array<std::string_view, 4> kKinds = {"write_write", "read_write", "iterate_write", "clone_write"};
inline constexpr std::array<std::string_view, 2> kSeverities = {"proven", "imminent"};
/// Classes of crashes, as JSON's `class`: Go's own text may be anything under --on-fatal all.
inline constexpr std::array<std::string_view, 5> kReasons = {"write_write", "read_write", "iterate_write",
                                                             "clone_write", "other"};
/// What became of a crash's dossier; none: the process was not frozen for it.
inline constexpr std::array<std::string_view, 3> kDossiers = {"written", "failed", "none"};
/// Where events get lost: the ring was full, a record was no event, a watch's slot was taken, the target's memory could
/// not be read, too much waited to be reported, a finding could not be written.
inline constexpr std::array<std::string_view, 6> kStages = {"ring", "decode", "table", "read", "queue", "export"};
/// What a probe sits on.
inline constexpr std::array<std::string_view, 6> kProbes = {"write", "read", "iterate", "delete", "clear", "clone"};
/// Why a process that was chosen could not be watched.
inline constexpr std::array<std::string_view, 5> kAttachErrors = {"failed", "unsupported", "gone", "permission",
                                                                  "malformed"};
/// What became of a process that was chosen; brief: watched by its marks alone, unseen: nobody knows what it was.
inline constexpr std::array<std::string_view, 4> kProcesses = {"watched", "brief", "refused", "unseen"};
/// Whom findings are sent to, and what came of each try to send; refused: given up, for the receiver does not want it.
inline constexpr std::array<std::string_view, 2> kReceivers = {"webhook", "alertmanager"};
inline constexpr std::array<std::string_view, 3> kSends = {"delivered", "failed", "refused"};
/// How commands of --exec ended; dropped: too many waited.
inline constexpr std::array<std::string_view, 5> kCommands = {"ok", "failed", "timeout", "not_started", "dropped"};
inline constexpr std::array<std::string_view, 2> kEntries = {"written", "failed"};

/// Place of `name` among `names`.
template <std::size_t N>
std::optional<std::size_t> place_of(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  return found == names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - names.begin()));
}

/// A count for each of these names.
template <const auto& kNames>
using Counts = std::array<std::uint64_t, kNames.size()>;

}  // namespace mapwatch::metrics
