#include "app/dossier_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/log.h"
#include "base/unique_fd.h"
#include "dossier/archive.h"
#include "dossier/redact.h"

namespace mapwatch::app {
namespace {

Result<dossier::Redactor> redactor_of(const dossier::Snapshot& files) {
  const std::string report = TRY(files.read("report.json"));
  auto redactor = TRY(dossier::Redactor::create(report));
  for (const std::string& name : files.names()) {
    if (name.ends_with(".txt") || name.ends_with(".html")) {
      const std::string text = TRY(files.read(name));
      redactor.learn(text);
    } else if (name == "timeline.json") {
      const std::string text = TRY(files.read(name));
      redactor.learn_timeline(text);
    }
  }
  return redactor;
}

Result<void> write(const dossier::Snapshot& files, const cli::Options& options, int fd, const std::string& what) {
  const std::string& id = options.dossier_id;
  std::optional<dossier::Redactor> redactor;
  if (options.redact) {
    redactor = TRY(redactor_of(files));
  }
  const std::int64_t time_s = files.time_s();
  auto archive = TRY(dossier::ArchiveWriter::create(fd, what));
  TRY(archive.directory(id, time_s));
  std::string sums;
  for (const std::string& name : files.names()) {
    std::optional<std::string> text = TRY(files.read(name));
    if (redactor) {
      text = redactor->apply(name, *text);
    }
    if (text) {
      TRY(archive.file(id + "/" + name, *text, time_s));
      sums += dossier::sum_line(name, *text);
    }
  }
  if (redactor) {
    const std::string note = dossier::Redactor::explanation();
    TRY(archive.file(id + "/REDACTED.txt", note, time_s));
    TRY(archive.file(id + "/SHA256SUMS", sums + dossier::sum_line("REDACTED.txt", note), time_s));
  }
  return archive.finish();
}

}  // namespace

Result<void> export_dossier(const dossier::Store& store, const cli::Options& options) {
  const std::string& id = options.dossier_id;
  // The end of the process may come into it meanwhile.
  const dossier::Snapshot files = TRY(store.snapshot(id));
  for (const std::string& wrong : TRY(files.verify())) {
    log::warn("{}: {}", log::printable(id), log::printable(wrong));
  }
  if (::isatty(STDOUT_FILENO) == 0) {
    return write(files, options, STDOUT_FILENO, "stdout");
  }
  const std::string name = id + ".tar.gz";
  const UniqueFd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) {
    return fail_errno("cannot create " + name, errno, "move it away, or send the archive elsewhere: > FILE");
  }
  auto written = write(files, options, fd.get(), name);
  if (!written) {
    ::unlink(name.c_str());
    return written;
  }
  log::info("written to {}", name);
  return {};
}

}  // namespace mapwatch::app
