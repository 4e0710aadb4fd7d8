// Words, numbers and times as the printers write them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "report/report.h"

namespace mapwatch::report {

/// "write", "read", "iterate", "delete", "clear", "clone", as JSON has them; "unknown" for none.
std::string_view op_word(mw_op op);
/// The same as a noun, for text: "iteration" instead of "iterate", "access" for none.
std::string_view op_noun(mw_op op);
/// One letter, for compact: W, R, I, D, C (clear), L (clone), ? for none.
char op_letter(mw_op op);

std::string_view severity_word(correlate::Severity severity);
std::string_view evidence_word(mw_evidence evidence);
std::string_view attribution_word(correlate::Attribution attribution);

/// "1.8us", "41ms", "1.3s", "2m05s", "3h20m": two significant digits, for people.
std::string human_duration(std::uint64_t ns);
/// "1st", "2nd", "13th", "101st".
std::string ordinal(std::uint64_t n);
/// "0x00c0000a4060", as Go's race detector pads it.
std::string padded_address(std::uint64_t address);

/// `file` without --strip-path-prefix, with nothing in it that acts upon a terminal.
std::string shown_file(const symbolize::Frame& frame, const Style& style);
/// `file` without --strip-path-prefix, else as it is.
std::string_view stripped_file(std::string_view file, std::string_view prefix);

/// The frame to look at: the first of the user's own, else the first; null when there is no frame.
const symbolize::Frame* frame_of_interest(std::span<const symbolize::Frame> stack);

/// Said below the stack of a last writer, of which nothing more is known.
constexpr std::string_view kOneFrame = "one frame was recorded; the rest of the stack was not captured";
/// Said instead of a crash's other side.
constexpr std::string_view kNoWriter = "mapwatch saw no writer of this map before";
/// How crash.other, which there is, is known: "as mapwatch saw it 1.2ms before the crash".
std::string how_known(const CrashReport& crash);
/// "3.1us before the crash", or after it: until the process stands still the others run on for some microseconds.
std::string before_crash(std::uint64_t crash_ns, std::uint64_t began_ns);
/// "4211 /srv/app go1.26.8 build-id 4d4ab313575f2d4f cgroup /app.slice", fit for a terminal.
std::string process_text(const ProcessInfo& process);
/// How long before the crash which warnings were printed, or that there were none.
std::string warned_text(const CrashReport& crash);
/// Of how many targets the summary's text forms tell the odds; JSON has all.
constexpr std::size_t kToldTargets = 40;
/// "4211 orders: auto 1/200, 97 % of 5199 call sites armed, ...": what it paid and how soon a race is seen, one line.
std::string odds_text(const TargetSummary& target);
/// What to do about a race whose one side is `stack`.
std::string advice(std::span<const symbolize::Frame> stack);

}  // namespace mapwatch::report
