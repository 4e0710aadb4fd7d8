#include "guardian/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace mapwatch::guardian {
namespace {

TEST(Channel, CarriesMessagesWholeAndInOrder) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  Message first;
  first.kind = Kind::kWatch;
  first.tgid = 7;
  first.value = 8;
  first.time_ns = 9;
  first.text = "/run/mapwatch/7-1.held";
  ASSERT_TRUE(ends->first.send(first));
  Message second;
  second.kind = Kind::kForget;
  ASSERT_TRUE(ends->first.send(second));

  Message got;
  EXPECT_EQ(ends->second.receive(got).value(), Received::kMessage);
  EXPECT_EQ(got.kind, Kind::kWatch);
  EXPECT_EQ(got.tgid, 7u);
  EXPECT_EQ(got.value, 8u);
  EXPECT_EQ(got.time_ns, 9u);
  EXPECT_EQ(got.text, first.text);
  EXPECT_EQ(ends->second.receive(got).value(), Received::kMessage);
  EXPECT_EQ(got.kind, Kind::kForget);
  EXPECT_EQ(got.text, "");
  EXPECT_EQ(ends->second.receive(got).value(), Received::kNothing);
}

TEST(Channel, CarriesDescriptors) {
  auto ends = Channel::pair();
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  Message message;
  ASSERT_TRUE(ends->first.send(message, {write_end.get()}));
  write_end.reset();
  Message got;
  ASSERT_EQ(ends->second.receive(got).value(), Received::kMessage);
  ASSERT_EQ(got.fds.size(), 1u);
  EXPECT_EQ(::fcntl(got.fds[0].get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::write(got.fds[0].get(), "x", 1), 1);
  got.fds.clear();
  char bytes[2];
  EXPECT_EQ(::read(read_end.get(), bytes, 2), 1);
  EXPECT_EQ(::read(read_end.get(), bytes, 2), 0) << "a descriptor was left open";
}

TEST(Channel, TellsThatTheOtherSideIsGone) {
  auto ends = Channel::pair();
  Message message;
  ASSERT_TRUE(ends->first.send(message));
  { const Channel gone = std::move(ends->first); }
  EXPECT_EQ(ends->second.receive(message).value(), Received::kMessage) << "what it sent before counts";
  EXPECT_EQ(ends->second.receive(message).value(), Received::kClosed);
  EXPECT_FALSE(ends->second.send(message)) << "and no SIGPIPE";
}

TEST(Channel, ASideThatDoesNotReadIsAnErrorNotAWait) {
  auto ends = Channel::pair();
  Message message;
  message.text = std::string(4096, 'x');
  int sent = 0;
  while (sent < 100'000 && ends->first.send(message)) {
    ++sent;
  }
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 100'000);
}

}  // namespace
}  // namespace mapwatch::guardian
