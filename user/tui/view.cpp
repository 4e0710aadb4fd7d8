#include "tui/view.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "tui/columns.h"

namespace mapwatch::tui {

namespace {

constexpr std::ptrdiff_t kPageRows = 10;
constexpr std::ptrdiff_t kAllRows = 1 << 20;
constexpr std::size_t kLongestFilter = 64;
constexpr std::uint64_t kIntervals[] = {500'000'000, 1'000'000'000, 2'000'000'000, 5'000'000'000, 10'000'000'000};

template <typename Row>
void sort_rows(std::vector<const Row*>& rows, const Column<Row>& column, bool reversed) {
  std::ranges::stable_sort(
      rows, [&](const Row* a, const Row* b) { return reversed ? column.before(*b, *a) : column.before(*a, *b); });
}

bool matches(const Target& target, const std::string& filter) {
  const std::string pid = std::to_string(target.pid);
  for (const std::string* text : {&target.comm, &target.exe, &target.go, &target.state, &pid}) {
    if (text->find(filter) != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<const Target*> View::rows() const {
  std::vector<const Target*> rows;
  for (const Target& target : snapshot_.targets) {
    if (matches(target, filter_)) {
      rows.push_back(&target);
    }
  }
  sort_rows(rows, target_columns()[sort_[0].column], sort_[0].reversed);
  return rows;
}

std::vector<const Site*> View::site_rows(const Target& target) const {
  std::vector<const Site*> rows;
  for (const Site& site : target.places) {
    rows.push_back(&site);
  }
  sort_rows(rows, site_columns()[sort_[1].column], sort_[1].reversed);
  return rows;
}

const Target* View::opened_target() const {
  const auto found = std::ranges::find_if(snapshot_.targets, [this](const Target& t) { return t.pid == opened_; });
  return found == snapshot_.targets.end() ? nullptr : &*found;
}

std::size_t View::selected() const {
  const auto all = rows();
  const auto found = std::ranges::find(all, chosen_, &Target::pid);
  // Its process is gone: the row that has come into its place.
  return found != all.end() ? static_cast<std::size_t>(found - all.begin())
                            : std::min(last_row_, all.empty() ? 0 : all.size() - 1);
}

void View::update(Snapshot snapshot) {
  if (paused_) {
    return;
  }
  snapshot_ = std::move(snapshot);
  move(0);
}

void View::move(std::ptrdiff_t by) {
  if (page_ != Page::kTargets) {
    scroll_ = static_cast<int>(std::clamp<std::ptrdiff_t>(scroll_ + by, 0, kAllRows));
    return;
  }
  const auto all = rows();
  if (all.empty()) {
    return;
  }
  const auto last = static_cast<std::ptrdiff_t>(all.size()) - 1;
  last_row_ =
      static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(selected()) + by, 0, last));
  chosen_ = all[last_row_]->pid;
}

void View::next_column(int by) {
  const std::size_t count = on_target() ? site_columns().size() : target_columns().size();
  Order& order = sort_[on_target() ? 1 : 0];
  order.column = (order.column + count + static_cast<std::size_t>(by + static_cast<int>(count))) % count;
}

void View::back() {
  if (page_ == Page::kHelp) {
    page_ = opened_ ? Page::kTarget : Page::kTargets;
  } else if (page_ == Page::kTarget) {
    page_ = Page::kTargets;
    opened_.reset();
  } else {
    filter_.clear();
  }
  scroll_ = 0;
  move(0);
}

void View::type(const Input& input) {
  switch (input.key) {
    case Key::kText:
      if (input.text >= 0x20 && input.text != 0x7f && filter_.size() < kLongestFilter) {
        append_utf8(filter_, input.text);
      }
      break;
    case Key::kBackspace:
      while (!filter_.empty() && (static_cast<unsigned char>(filter_.back()) & 0xc0) == 0x80) {
        filter_.pop_back();
      }
      if (!filter_.empty()) {
        filter_.pop_back();
      }
      break;
    case Key::kEscape:
      filter_.clear();
      typing_ = false;
      break;
    default:
      typing_ = false;
  }
  move(0);
}

void View::command(char32_t key) {
  switch (key) {
    case U'q':
    case U'Q':
      quit_ = true;
      break;
    case U'p':
    case U' ':
      paused_ = !paused_;
      break;
    case U's':
      next_column(1);
      break;
    case U'S':
      sort_[on_target() ? 1 : 0].reversed = !reversed();
      break;
    case U'f':
    case U'/':
      typing_ = page_ == Page::kTargets;
      break;
    case U'd': {
      const auto next = std::ranges::upper_bound(kIntervals, interval_ns_);
      interval_ns_ = next == std::end(kIntervals) ? kIntervals[0] : *next;
      tell(fmt::format("every {} s", static_cast<double>(interval_ns_) / 1e9));
      break;
    }
    case U'j':
      move(1);
      break;
    case U'k':
      move(-1);
      break;
    case U'?':
    case U'h':
      page_ = page_ == Page::kHelp ? (opened_ ? Page::kTarget : Page::kTargets) : Page::kHelp;
      scroll_ = 0;
      break;
    default:
      break;
  }
}

void View::handle(const Input& input) {
  message_.clear();
  if (typing_) {
    type(input);
    return;
  }
  switch (input.key) {
    case Key::kText:
      command(input.text);
      break;
    case Key::kUp:
      move(-1);
      break;
    case Key::kDown:
      move(1);
      break;
    case Key::kPageUp:
      move(-kPageRows);
      break;
    case Key::kPageDown:
      move(kPageRows);
      break;
    case Key::kHome:
      move(-kAllRows);
      break;
    case Key::kEnd:
      move(kAllRows);
      break;
    case Key::kLeft:
      next_column(-1);
      break;
    case Key::kRight:
      next_column(1);
      break;
    case Key::kEnter:
      if (const auto all = rows(); page_ == Page::kTargets && !all.empty()) {
        opened_ = all[selected()]->pid;
        page_ = Page::kTarget;
        scroll_ = 0;
      }
      break;
    case Key::kEscape:
    case Key::kBackspace:
      back();
      break;
  }
}

}  // namespace mapwatch::tui
