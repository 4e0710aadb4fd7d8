// Any bytes as a recording: header, chunks, JSON chunks, kernel events.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>

#include "ingest/event.h"
#include "ingest/record_file.h"
#include "ingest/record_json.h"

namespace {

using namespace mapwatch;
using namespace mapwatch::ingest;

// What was read must come back the same from what it is written as.
template <typename T, typename Decode>
void round_trip(const Result<T>& record, Decode decode) {
  if (record) {
    const std::string text = encode(*record);
    const auto again = decode(Bytes(text.data(), text.size()));
    if (!again || encode(*again) != text) {
      __builtin_trap();
    }
  }
}

void take(const Chunk& chunk) {
  switch (chunk.tag) {
    case ChunkTag::kEvent:
      (void)decode(chunk.bytes());
      break;
    case ChunkTag::kProcess:
      round_trip(decode_process(chunk.bytes()), decode_process);
      break;
    case ChunkTag::kSymbols:
      round_trip(decode_symbols(chunk.bytes()), decode_symbols);
      break;
    case ChunkTag::kFrozen:
      round_trip(decode_frozen(chunk.bytes()), decode_frozen);
      break;
    case ChunkTag::kReported:
      round_trip(decode_reported(chunk.bytes()), decode_reported);
      break;
    case ChunkTag::kLost:
      round_trip(decode_lost(chunk.bytes()), decode_lost);
      break;
    case ChunkTag::kCounters:
      round_trip(decode_counters(chunk.bytes()), decode_counters);
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As a file; then each payload decoder on the plain bytes, for a checksum is hard to guess.
  auto reader = RecordReader::from(
      std::make_unique<std::istringstream>(std::string(reinterpret_cast<const char*>(data), size)), "fuzz");
  if (reader) {
    for (auto chunk = reader->next(); chunk && *chunk; chunk = reader->next()) {
      take(**chunk);
    }
  }
  if (size == 0) {
    return 0;
  }
  Chunk chunk;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  chunk.payload.assign(bytes + 1, bytes + size);
  constexpr ChunkTag kTags[] = {ChunkTag::kEvent,    ChunkTag::kProcess, ChunkTag::kSymbols, ChunkTag::kFrozen,
                                ChunkTag::kReported, ChunkTag::kLost,    ChunkTag::kCounters};
  chunk.tag = kTags[data[0] % std::size(kTags)];
  take(chunk);
  return 0;
}
