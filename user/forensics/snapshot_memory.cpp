#include "forensics/snapshot_memory.h"

#include <algorithm>
#include <utility>

namespace mapwatch::forensics {

SnapshotMemory SnapshotMemory::copy(const Memory& from, std::span<const Range> ranges) {
  std::vector<std::vector<std::uint8_t>> buffers;
  std::vector<ReadRequest> requests;
  buffers.reserve(ranges.size());
  for (const Range& range : ranges) {
    buffers.emplace_back(range.end > range.begin ? range.end - range.begin : 0);
    requests.push_back({range.begin, buffers.back(), false});
  }
  from.read_many(requests);
  SnapshotMemory memory;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].ok && !buffers[i].empty()) {
      memory.add(requests[i].address, std::move(buffers[i]));
    }
  }
  memory.mappings_.assign(from.mappings().begin(), from.mappings().end());
  return memory;
}

void SnapshotMemory::add(std::uint64_t address, std::vector<std::uint8_t> bytes) {
  if (bytes.empty() || address + bytes.size() < address) {
    return;
  }
  const std::uint64_t end = address + bytes.size();
  auto at = pieces_.lower_bound(address);
  if (at != pieces_.begin() && std::prev(at)->first + std::prev(at)->second.size() > address) {
    --at;
  }
  while (at != pieces_.end() && at->first < end) {
    const std::uint64_t begin = at->first;
    std::vector<std::uint8_t> old = std::move(at->second);
    at = pieces_.erase(at);
    if (begin + old.size() > end) {
      pieces_.emplace(end,
                      std::vector<std::uint8_t>(old.begin() + static_cast<std::ptrdiff_t>(end - begin), old.end()));
    }
    if (begin < address) {
      old.resize(address - begin);
      pieces_.emplace(begin, std::move(old));
    }
    at = pieces_.lower_bound(address);
  }
  pieces_.emplace(address, std::move(bytes));
}

bool SnapshotMemory::read(std::uint64_t address, std::span<std::uint8_t> out) const {
  auto at = pieces_.upper_bound(address);
  if (at == pieces_.begin()) {
    return out.empty();
  }
  --at;
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t where = address + done;
    if (at == pieces_.end() || at->first > where || where - at->first >= at->second.size()) {
      return false;
    }
    const std::size_t skip = where - at->first;
    const std::size_t count = std::min(out.size() - done, at->second.size() - skip);
    std::copy_n(at->second.begin() + static_cast<std::ptrdiff_t>(skip), count,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
    ++at;
  }
  return true;
}

}  // namespace mapwatch::forensics
