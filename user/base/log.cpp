#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include "base/escape.h"

namespace mapwatch::log {

void init(bool quiet, int verbose) {
  auto logger = std::make_shared<spdlog::logger>("mapwatch", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(quiet          ? spdlog::level::err
                    : verbose >= 2 ? spdlog::level::trace
                    : verbose == 1 ? spdlog::level::debug
                                   : spdlog::level::info);
  // A level in front only where a reader needs it: plain information reads as a sentence.
  logger->set_pattern(verbose > 0 ? "mapwatch: [%l] %v" : "mapwatch: %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

std::string error_text(const Error& error) {
  std::string text = "mapwatch: " + error.message + "\n";
  if (!error.hint.empty()) {
    text += "  hint: " + error.hint + "\n";
  }
  return text;
}

void print_error(const Error& error) {
  const std::string text = error_text(error);
  // Nothing can be done about a stderr that cannot be written; the exit status tells.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string printable(std::string_view text) { return escape(text); }

int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kUnsupported:
    case ErrorKind::kMalformed:
      return 3;
    case ErrorKind::kFailed:
    case ErrorKind::kGone:
    case ErrorKind::kPermission:
      return 1;
  }
  return 1;
}

}  // namespace mapwatch::log
