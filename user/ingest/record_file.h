// --record FILE: everything that a run said and saw, self-contained: `replay` needs neither the binary nor root.
//
//   file   := magic "MWRECORD" | u32 format version | u32 MW_ABI_VERSION | chunk*
//   chunk  := u8 tag | u8[3] zero | u32 length | u32 CRC-32 of the payload | payload
//
// Little-endian. Tags: 'E' one kernel event, raw (abi.h); the others JSON (record_json.h): 'P' a process begins or
// changes its program, 'S' symbols of the process as last told by 'P', 'F' what was found of a crash while its process
// stood still, 'R' when a report left mapwatch, 'L' loss by stage, 'C' the counters at the end. A chunk with another
// tag is skipped. A file that ends inside a chunk is read up to there; a chunk whose CRC or length is wrong ends the
// reading with an error.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::ingest {

inline constexpr std::string_view kRecordMagic = "MWRECORD";
inline constexpr std::uint32_t kRecordVersion = 1;
inline constexpr std::uint32_t kMaxChunk = 1u << 20;  ///< bytes of one payload

enum class ChunkTag : std::uint8_t {
  kEvent = 'E',
  kProcess = 'P',
  kSymbols = 'S',
  kFrozen = 'F',
  kReported = 'R',
  kLost = 'L',
  kCounters = 'C',
};

/// CRC-32 as in zlib and Ethernet (reflected 0xEDB88320).
std::uint32_t crc32(Bytes data);

/// Writes from any thread. After the first failure it writes no more: the file then ends at a whole chunk or inside
/// the last one, and can be read up to there.
class RecordWriter {
 public:
  /// Creates or truncates `path`, mode 0600: a recording names the target's functions and files.
  static Result<std::unique_ptr<RecordWriter>> create(const std::string& path);

  /// One write(2) a chunk. Errors: kFailed once, when writing fails (then dropped() counts); kMalformed for a payload
  /// over kMaxChunk.
  Result<void> append(ChunkTag tag, Bytes payload);
  Result<void> append(ChunkTag tag, std::string_view payload) {
    return append(tag, Bytes(payload.data(), payload.size()));
  }

  /// Chunks that were not written.
  std::uint64_t dropped() const;

 private:
  RecordWriter(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  mutable std::mutex mutex_;
  UniqueFd fd_;
  std::string path_;
  bool failed_ = false;
  std::uint64_t dropped_ = 0;
};

struct Chunk {
  ChunkTag tag = ChunkTag::kEvent;
  std::vector<std::byte> payload;

  Bytes bytes() const { return Bytes(payload.data(), payload.size()); }
};

class RecordReader {
 public:
  static Result<RecordReader> open(const std::string& path);
  /// Errors: kMalformed when it is no recording, kUnsupported when another version wrote it.
  static Result<RecordReader> from(std::unique_ptr<std::istream> stream, const std::string& name);

  /// The next chunk of a known tag; nullopt at the end. kMalformed for a damaged one, with its offset in the file.
  Result<std::optional<Chunk>> next();
  /// True when the file ended inside a chunk: the run that wrote it was killed, or its disk was full.
  bool truncated() const { return truncated_; }
  /// Back to the first chunk.
  void rewind();

 private:
  explicit RecordReader(std::unique_ptr<std::istream> stream) : stream_(std::move(stream)) {}

  std::unique_ptr<std::istream> stream_;
  std::uint64_t offset_ = 0;
  bool truncated_ = false;
};

}  // namespace mapwatch::ingest
