#include "attach/shield.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace mapwatch::attach {
namespace {

/// A descriptor whose last copy's close is seen at the other end.
struct Witness {
  Witness() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    seen_from = UniqueFd(ends[0]);
    held = UniqueFd(ends[1]);
  }
  bool closed(int timeout_ms = 0) const {
    pollfd end = {seen_from.get(), POLLIN, 0};
    return ::poll(&end, 1, timeout_ms) == 1 && (end.revents & POLLHUP) != 0;
  }
  UniqueFd seen_from;
  UniqueFd held;
};

TEST(LastHolder, ClosesTheLastCopyAndWaits) {
  Witness witness;
  {
    const LastHolder holder;
    witness.held.reset();
    EXPECT_FALSE(witness.closed()) << "this process closed the last copy itself";
  }
  EXPECT_TRUE(witness.closed());
}

TEST(LastHolder, LeavesWhatIsStillHeldHere) {
  Witness witness;
  std::optional<LastHolder>(std::in_place).reset();
  EXPECT_FALSE(witness.closed());
}

TEST(LastHolder, OneThatHoldsThisDoesNotHoldThat) {
  Witness mine;
  Witness other;
  const int held[] = {mine.held.get()};
  auto holder = std::make_unique<LastHolder>(held);
  other.held.reset();
  EXPECT_TRUE(other.closed()) << "the child has a copy of what is not its business";
  mine.held.reset();
  EXPECT_FALSE(mine.closed());
  holder.reset();
  EXPECT_TRUE(mine.closed());
}

TEST(LastHolder, SeveralAtOnceEachCloseTheirOwn) {
  std::vector<Witness> witnesses(6);
  std::vector<std::unique_ptr<LastHolder>> holders;
  for (Witness& witness : witnesses) {
    const int held[] = {witness.held.get()};
    holders.push_back(std::make_unique<LastHolder>(held));
    witness.held.reset();
  }
  for (std::size_t i = witnesses.size(); i-- > 0;) {
    EXPECT_FALSE(witnesses[i].closed());
    holders[i].reset();
    EXPECT_TRUE(witnesses[i].closed()) << "a later child has a copy";
  }
}

TEST(LastHolder, GoesWhenItsOwnerIsKilled) {
  Witness witness;
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t owner = ::fork();
  if (owner == 0) {
    const LastHolder holder;
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  witness.held.reset();
  EXPECT_FALSE(witness.closed());
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  EXPECT_TRUE(witness.closed(10'000)) << "a helper process outlives mapwatch";
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(CreateMultiLink, GivesTheErrorOfTheCall) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  const auto link = create_multi_link(-1, options);
  ASSERT_FALSE(link);
  EXPECT_NE(link.error().message.find("uprobe_multi link: "), std::string::npos);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "the child that made it is left behind";
}

}  // namespace
}  // namespace mapwatch::attach
