#include "ingest/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "mapwatch/abi.h"

namespace mapwatch::ingest {
namespace {

struct FileHead {
  char magic[8];
  std::uint32_t version;
  std::uint32_t abi;
};
static_assert(sizeof(FileHead) == 16);

struct ChunkHead {
  std::uint8_t tag;
  std::uint8_t zero[3];
  std::uint32_t length;
  std::uint32_t crc;
};
static_assert(sizeof(ChunkHead) == 12);

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    }
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

bool is_known(std::uint8_t tag) {
  switch (static_cast<ChunkTag>(tag)) {
    case ChunkTag::kEvent:
    case ChunkTag::kProcess:
    case ChunkTag::kSymbols:
    case ChunkTag::kFrozen:
    case ChunkTag::kReported:
    case ChunkTag::kLost:
    case ChunkTag::kCounters:
      return true;
  }
  return false;
}

Result<void> write_all(int fd, const std::vector<std::byte>& data, const std::string& path) {
  std::size_t sent = 0;
  while (sent < data.size()) {
    const ssize_t n = ::write(fd, data.data() + sent, data.size() - sent);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return fail_errno(fmt::format("--record {}", path), n == 0 ? EIO : errno, "the recording ends here");
    }
    sent += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

std::uint32_t crc32(Bytes data) {
  std::uint32_t value = 0xffffffffu;
  for (const std::byte byte : data.span()) {
    value = kCrcTable[(value ^ static_cast<std::uint32_t>(byte)) & 0xff] ^ (value >> 8);
  }
  return value ^ 0xffffffffu;
}

Result<std::unique_ptr<RecordWriter>> RecordWriter::create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) {
    return fail_errno(fmt::format("--record {}", path), errno, "name a file that can be written");
  }
  FileHead head{};
  std::memcpy(head.magic, kRecordMagic.data(), sizeof(head.magic));
  head.version = kRecordVersion;
  head.abi = MW_ABI_VERSION;
  std::vector<std::byte> bytes(sizeof(head));
  std::memcpy(bytes.data(), &head, sizeof(head));
  TRY(write_all(fd.get(), bytes, path));
  return std::unique_ptr<RecordWriter>(new RecordWriter(std::move(fd), path));
}

Result<void> RecordWriter::append(ChunkTag tag, Bytes payload) {
  const std::lock_guard lock(mutex_);
  if (failed_) {
    ++dropped_;
    return {};
  }
  if (payload.size() > kMaxChunk) {
    ++dropped_;
    return fail(ErrorKind::kMalformed,
                fmt::format("--record {}: a chunk of {} bytes is too long", path_, payload.size()));
  }
  const ChunkHead head{static_cast<std::uint8_t>(tag), {}, static_cast<std::uint32_t>(payload.size()), crc32(payload)};
  std::vector<std::byte> bytes(sizeof(head) + payload.size());
  std::memcpy(bytes.data(), &head, sizeof(head));
  if (!payload.empty()) {
    std::memcpy(bytes.data() + sizeof(head), payload.data(), payload.size());
  }
  auto written = write_all(fd_.get(), bytes, path_);
  if (!written) {
    failed_ = true;
    ++dropped_;
  }
  return written;
}

std::uint64_t RecordWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

Result<RecordReader> RecordReader::open(const std::string& path) {
  auto stream = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*stream) {
    return fail_errno(path, errno, "name a file that mapwatch --record wrote");
  }
  return from(std::move(stream), path);
}

Result<RecordReader> RecordReader::from(std::unique_ptr<std::istream> stream, const std::string& name) {
  FileHead head{};
  stream->read(reinterpret_cast<char*>(&head), sizeof(head));
  if (stream->gcount() != sizeof(head) || std::string_view(head.magic, sizeof(head.magic)) != kRecordMagic) {
    return fail(ErrorKind::kMalformed, fmt::format("{}: is no mapwatch recording", name),
                "name a file that mapwatch --record wrote");
  }
  if (head.version != kRecordVersion || head.abi != MW_ABI_VERSION) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{}: recording of format {} with events {}; this mapwatch reads format {} with events {}",
                            name, head.version, head.abi, kRecordVersion, MW_ABI_VERSION),
                "replay it with the mapwatch that recorded it");
  }
  RecordReader reader(std::move(stream));
  reader.offset_ = sizeof(FileHead);
  return reader;
}

Result<std::optional<Chunk>> RecordReader::next() {
  while (true) {
    ChunkHead head{};
    stream_->read(reinterpret_cast<char*>(&head), sizeof(head));
    if (stream_->gcount() != sizeof(head)) {
      truncated_ = stream_->gcount() != 0;
      return std::nullopt;
    }
    if (head.length > kMaxChunk) {
      return fail(ErrorKind::kMalformed, fmt::format("chunk at byte {} says {} bytes", offset_, head.length),
                  "the file is damaged from there on");
    }
    Chunk chunk;
    chunk.payload.resize(head.length);
    stream_->read(reinterpret_cast<char*>(chunk.payload.data()), head.length);
    if (static_cast<std::uint64_t>(stream_->gcount()) != head.length) {
      truncated_ = true;
      return std::nullopt;
    }
    if (crc32(chunk.bytes()) != head.crc) {
      return fail(ErrorKind::kMalformed, fmt::format("chunk at byte {} has a wrong checksum", offset_),
                  "the file is damaged from there on");
    }
    offset_ += sizeof(head) + head.length;
    if (is_known(head.tag)) {
      chunk.tag = static_cast<ChunkTag>(head.tag);
      return chunk;
    }
  }
}

void RecordReader::rewind() {
  stream_->clear();
  stream_->seekg(sizeof(FileHead));
  offset_ = sizeof(FileHead);
  truncated_ = false;
}

}  // namespace mapwatch::ingest
