#include "symbolize/frame_cache.h"

#include <iterator>
#include <utility>

namespace mapwatch::symbolize {

const std::vector<elf::SourceFrame>* FrameCache::find(std::uint64_t binary, std::uint64_t address) {
  const auto found = index_.find({binary, address});
  if (found == index_.end()) {
    ++misses_;
    return nullptr;
  }
  ++hits_;
  entries_.splice(entries_.end(), entries_, found->second);
  return &found->second->frames;
}

void FrameCache::put(std::uint64_t binary, std::uint64_t address, std::vector<elf::SourceFrame> frames) {
  const Key key{binary, address};
  if (index_.contains(key)) {
    return;
  }
  // The list's and the index's own nodes weigh about as much as Entry once more.
  std::size_t bytes = 2 * sizeof(Entry) + frames.capacity() * sizeof(elf::SourceFrame);
  for (const elf::SourceFrame& frame : frames) {
    bytes += frame.func.capacity() + frame.file.capacity();
  }
  if (bytes > max_bytes_) {
    return;
  }
  while (bytes_ + bytes > max_bytes_) {
    bytes_ -= entries_.front().bytes;
    index_.erase(entries_.front().key);
    entries_.pop_front();
  }
  entries_.push_back({key, std::move(frames), bytes});
  index_.emplace(key, std::prev(entries_.end()));
  bytes_ += bytes;
}

void FrameCache::forget(std::uint64_t binary) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (at->key.binary == binary) {
      bytes_ -= at->bytes;
      index_.erase(at->key);
      entries_.erase(at);
    }
    at = next;
  }
}

}  // namespace mapwatch::symbolize
