// What the user has done with top: page, order, filter, the row that is chosen. Keys go in, and a new snapshot once an
// interval; render() draws what came of it. Knows no terminal.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tui/snapshot.h"

namespace mapwatch::tui {

enum class Key { kText, kUp, kDown, kLeft, kRight, kPageUp, kPageDown, kHome, kEnd, kEnter, kEscape, kBackspace };
struct Input {
  Key key = Key::kText;
  char32_t text = 0;  ///< kText: what was typed
};

class View {
 public:
  enum class Page { kTargets, kTarget, kHelp };

  explicit View(std::uint64_t interval_ns) : interval_ns_(interval_ns) {}

  void handle(const Input& input);
  /// Not shown while paused. What was chosen stays chosen, wherever its row is now.
  void update(Snapshot snapshot);
  /// A line for the foot of the screen: something that was to be told.
  void tell(std::string message) { message_ = std::move(message); }

  bool wants_quit() const { return quit_; }
  Page page() const { return page_; }
  bool paused() const { return paused_; }
  std::uint64_t interval_ns() const { return interval_ns_; }
  /// The process whose sites are shown.
  std::optional<int> opened() const { return opened_; }

  // For render().
  const Snapshot& snapshot() const { return snapshot_; }
  /// Rows that the filter lets through, in order.
  std::vector<const Target*> rows() const;
  /// Of `target`, in order.
  std::vector<const Site*> site_rows(const Target& target) const;
  /// The process that is opened, if it is still there.
  const Target* opened_target() const;
  std::size_t selected() const;
  std::size_t sort() const { return sort_[on_target() ? 1 : 0].column; }
  bool reversed() const { return sort_[on_target() ? 1 : 0].reversed; }
  const std::string& filter() const { return filter_; }
  bool typing() const { return typing_; }
  const std::string& message() const { return message_; }
  /// The first line that is shown where there are more than fit.
  int scroll() const { return scroll_; }
  /// How far one may scroll, as render() found.
  void limit_scroll(int most) { scroll_ = std::min(scroll_, std::max(most, 0)); }

 private:
  struct Order {
    std::size_t column = 0;
    bool reversed = false;
  };
  bool on_target() const { return page_ == Page::kTarget || (page_ == Page::kHelp && opened_); }
  void type(const Input& input);
  void command(char32_t key);
  void move(std::ptrdiff_t by);
  void next_column(int by);
  void back();

  Snapshot snapshot_;
  std::uint64_t interval_ns_;
  Page page_ = Page::kTargets;
  bool quit_ = false;
  bool paused_ = false;
  bool typing_ = false;
  std::string filter_;
  std::string message_;
  Order sort_[2] = {{kByHazards, false}, {0, false}};
  int chosen_ = 0;  ///< pid of the selected row
  std::size_t last_row_ = 0;
  std::optional<int> opened_;
  int scroll_ = 0;

  static constexpr std::size_t kByHazards = 11;  ///< place in target_columns()
};

}  // namespace mapwatch::tui
