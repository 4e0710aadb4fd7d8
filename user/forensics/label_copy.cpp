#include "forensics/label_copy.h"

#include <algorithm>

#include "forensics/goroutine_copy.h"

namespace mapwatch::forensics {
namespace {

constexpr int kFirstList = 24;
constexpr std::size_t kMaxSets = 100'000;
constexpr std::uint64_t kMaxLabels = 32;
constexpr std::uint64_t kMaxText = 256;

struct Slice {
  std::uint64_t pointer = 0, length = 0, capacity = 0;
};
struct Text {
  std::uint64_t pointer = 0, length = 0;
};
struct Entry {
  Text key, value;
};

template <typename T>
std::span<std::uint8_t> raw(std::vector<T>& values) {
  return {reinterpret_cast<std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

std::unordered_map<std::uint64_t, std::vector<Label>> copy_labels(const Memory& memory, const StructCopies& gs,
                                                                  std::uint32_t offset, int go_minor) {
  std::unordered_map<std::uint64_t, std::vector<Label>> found;
  if (go_minor < kFirstList) {
    return found;
  }
  std::vector<std::uint64_t> sets;
  for (std::size_t i = 0; i < gs.count(); ++i) {
    const std::uint64_t set = gs.get(i, offset);
    if (set != 0 && sets.size() < kMaxSets && found.try_emplace(set).second) {
      sets.push_back(set);
    }
  }
  std::vector<Slice> slices(sets.size());
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    requests.push_back({sets[i], {reinterpret_cast<std::uint8_t*>(&slices[i]), sizeof(Slice)}, false});
  }
  memory.read_many(requests);
  std::vector<std::vector<Entry>> entries(sets.size());
  std::vector<ReadRequest> lists;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const bool sound = requests[i].ok && slices[i].length <= slices[i].capacity;
    entries[i].resize(sound ? std::min(slices[i].length, kMaxLabels) : 0);
    lists.push_back({slices[i].pointer, raw(entries[i]), false});
  }
  memory.read_many(lists);
  std::vector<ReadRequest> texts;
  const auto want = [&](const Text& text, std::string& into) {
    into.resize(std::min(text.length, kMaxText));
    texts.push_back({text.pointer, {reinterpret_cast<std::uint8_t*>(into.data()), into.size()}, false});
  };
  for (std::size_t i = 0; i < sets.size(); ++i) {
    std::vector<Label>& labels = found[sets[i]];
    labels.resize(lists[i].ok ? entries[i].size() : 0);
    for (std::size_t k = 0; k < labels.size(); ++k) {
      want(entries[i][k].key, labels[k].first);
      want(entries[i][k].value, labels[k].second);
    }
  }
  memory.read_many(texts);
  for (const ReadRequest& request : texts) {
    if (!request.ok) {
      std::ranges::fill(request.out, static_cast<std::uint8_t>('?'));
    }
  }
  return found;
}

}  // namespace mapwatch::forensics
