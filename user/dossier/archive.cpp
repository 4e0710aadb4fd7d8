#include "dossier/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <fmt/format.h>

namespace mapwatch::dossier {

void ArchiveWriter::Free::operator()(archive* raw) const {
  archive_write_fail(raw);  // else it would write the end, and what is cut would pass for whole
  archive_write_free(raw);
}

Result<ArchiveWriter> ArchiveWriter::create(int fd, std::string what) {
  ArchiveWriter writer(archive_write_new(), std::move(what));
  archive* raw = writer.archive_.get();
  // The same dossier gives the same bytes: no time of packing. No padding either, as a tape would want it.
  if (raw == nullptr || archive_write_set_format_pax_restricted(raw) != ARCHIVE_OK ||
      archive_write_add_filter_gzip(raw) != ARCHIVE_OK ||
      archive_write_set_filter_option(raw, "gzip", "timestamp", nullptr) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(raw, 1) != ARCHIVE_OK || archive_write_open_fd(raw, fd) != ARCHIVE_OK) {
    return tl::unexpected(writer.failed("begin").error());
  }
  return writer;
}

Result<void> ArchiveWriter::failed(std::string_view doing) const {
  const std::string what = fmt::format("cannot {} the archive to {}", doing, what_);
  const int why = archive_ ? archive_errno(archive_.get()) : ENOMEM;
  if (why > 0) {
    return fail_errno(what, why);
  }
  const char* text = archive_error_string(archive_.get());
  return fail(ErrorKind::kFailed, fmt::format("{}: {}", what, text == nullptr ? "no reason was given" : text));
}

Result<void> ArchiveWriter::entry(const std::string& path, unsigned type, unsigned mode, std::string_view text,
                                  std::int64_t time_s) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), mode);
  archive_entry_set_mtime(entry.get(), time_s, 0);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(text.size()));
  if (archive_write_header(archive_.get(), entry.get()) != ARCHIVE_OK) {
    return failed("write");
  }
  const la_ssize_t written = text.empty() ? 0 : archive_write_data(archive_.get(), text.data(), text.size());
  if (written < 0 || static_cast<std::size_t>(written) != text.size()) {
    return failed("write");
  }
  return {};
}

Result<void> ArchiveWriter::directory(const std::string& path, std::int64_t time_s) {
  return entry(path, AE_IFDIR, 0700, {}, time_s);
}

Result<void> ArchiveWriter::file(const std::string& path, std::string_view text, std::int64_t time_s) {
  return entry(path, AE_IFREG, 0600, text, time_s);
}

Result<void> ArchiveWriter::finish() {
  return archive_write_close(archive_.get()) == ARCHIVE_OK ? Result<void>() : failed("end");
}

}  // namespace mapwatch::dossier
