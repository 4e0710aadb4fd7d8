// Where reports leave mapwatch: one write(2) an object, to stdout, stderr or --log-path.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "report/report.h"

namespace mapwatch::report {

enum class Format { kText, kCompact, kJson };

struct WriterOptions {
  Format format = Format::kText;
  Style style;
  std::string log_path;  ///< --log-path: findings go there; never coloured; created 0600, truncated
  int findings_fd = 1;   ///< when there is no log_path (`run` without one passes 2: stdout is CMD's)
  int messages_fd = 2;   ///< lost and summary in the forms for people; JSON keeps all objects in one stream
  bool quiet = false;    ///< -q: no lost and summary in the forms for people
};

enum class WriteOutcome {
  kWritten,
  kClosed,  ///< EPIPE: nobody reads any more; detach and end quietly. Every later write answers the same
  kLost,    ///< disk full or another error: counted in lost(), stage "export"
};

/// SIGPIPE must be ignored by the process, else a closed pipe kills it before write(2) can tell.
class Writer {
 public:
  /// Opens log_path, if any. Errors: kFailed and kPermission, with the path. `clock` must outlive the writer.
  static Result<Writer> create(WriterOptions options, const Clock& clock);

  /// Sets printed_ns of a hazard or crash, formats and writes.
  WriteOutcome write(Report& report);

  /// Objects that could not be written.
  std::uint64_t lost() const { return lost_; }
  /// Text of the last error that lost an object; empty when there was none.
  const std::string& last_error() const { return last_error_; }
  bool closed() const { return closed_; }

 private:
  Writer(WriterOptions options, const Clock& clock, UniqueFd log);
  WriteOutcome send(int fd, const std::string& text);

  WriterOptions options_;
  const Clock* clock_;
  UniqueFd log_;
  std::uint64_t lost_ = 0;
  bool closed_ = false;
  std::string last_error_;
};

}  // namespace mapwatch::report
