#include "base/listen_address.h"

#include <gtest/gtest.h>

namespace mapwatch {
namespace {

TEST(ListenAddress, FormsThatAreUnderstood) {
  for (const char* text :
       {"127.0.0.1:9750", "127.9.9.9:0", "[::1]:9750", "localhost:9750", "unix:/run/x.sock", "[::ffff:127.0.0.1]:1"}) {
    const auto address = parse_listen_address(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_TRUE(address->local()) << text;
    EXPECT_EQ(address->text, text);
  }
  for (const char* text :
       {"0.0.0.0:9750", "[::]:9750", "10.1.2.3:80", "128.0.0.1:80", "[2001:db8::1]:80", "[::ffff:10.0.0.1]:80"}) {
    const auto address = parse_listen_address(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_FALSE(address->local()) << text;
  }
}

TEST(ListenAddress, OthersAreRefusedWithAReason) {
  for (const std::string text : {"", ":", ":9750", "9750", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                                 "127.0.0.1:-1", "127.0.0.1:80 ", "127.1:80", "::1:80", "[::1:80", "[]:80",
                                 "example.org:80", "unix:", "unix:run/x.sock", "http://127.0.0.1:80"}) {
    const auto address = parse_listen_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().kind, ErrorKind::kUsage);
    EXPECT_NE(address.error().message.find("\"" + text + "\""), std::string::npos) << address.error().message;
  }
  EXPECT_FALSE(parse_listen_address("unix:/" + std::string(107, 'x')));
  EXPECT_TRUE(parse_listen_address("unix:/" + std::string(106, 'x')));
  EXPECT_FALSE(parse_listen_address(std::string("unix:/a\0b", 9)));
}

}  // namespace
}  // namespace mapwatch
