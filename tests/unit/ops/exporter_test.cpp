#include "ops/exporter.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>

#include "base/temp_dir.h"

namespace mapwatch::ops {
namespace {

/// The server's thread reads it while the test sets it.
class SharedClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now_ns_; }
  std::int64_t realtime_ns() const override { return 0; }
  void advance(std::uint64_t ns) { now_ns_ += ns; }

 private:
  std::atomic<std::uint64_t> now_ns_ = 1;
};

/// A client's connection. All of it blocks: the server always comes to an end with it.
class Client {
 public:
  explicit Client(const Exporter& exporter) {
    const std::string& url = exporter.url();
    if (url.starts_with("unix:")) {
      fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un at = {};
      at.sun_family = AF_UNIX;
      url.copy(at.sun_path, sizeof(at.sun_path) - 1, 5);
      EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
      return;
    }
    const auto address = parse_listen_address(url.substr(7));
    fd_ = UniqueFd(::socket(address->tcp.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address->tcp), address->tcp_size), 0);
  }
  Client& say(const std::string& text) {
    (void)::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return *this;
  }
  /// All that comes until the server closes.
  std::string hear() {
    std::string out;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(fd_.get(), buffer, sizeof(buffer), 0)) > 0;) {
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }

 private:
  UniqueFd fd_;
};

std::string ask(const Exporter& exporter, const std::string& path, const std::string& method = "GET") {
  return Client(exporter).say(method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n").hear();
}

int status(const std::string& answer) { return answer.starts_with("HTTP/1.") ? std::stoi(answer.substr(9, 3)) : 0; }

class ServedAt : public testing::Test {
 protected:
  std::unique_ptr<Exporter> serve(const std::string& where = "127.0.0.1:0") {
    const auto address = parse_listen_address(where);
    EXPECT_TRUE(address) << address.error().message;
    auto exporter = Exporter::start(*address, clock_, access_, limits_);
    EXPECT_TRUE(exporter) << exporter.error().message;
    return exporter ? std::move(*exporter) : nullptr;
  }
  SharedClock clock_;
  Access access_;
  Exporter::Limits limits_;
};

TEST_F(ServedAt, MetricsAreWhatWasHandedOverLast) {
  const auto exporter = serve();
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 503);
  exporter->publish("a 1\n");
  exporter->publish("a 2\n");
  const std::string answer = ask(*exporter, "/metrics");
  EXPECT_EQ(status(answer), 200);
  EXPECT_TRUE(answer.ends_with("\r\n\r\na 2\n")) << answer;
  EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos) << answer;
  const std::string head = ask(*exporter, "/metrics", "HEAD");
  EXPECT_EQ(status(head), 200);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  EXPECT_EQ(exporter->counts().requests, 3u);
}

TEST_F(ServedAt, OtherPathsAndMethodsAreRefused) {
  const auto exporter = serve();
  exporter->publish("a 1\n");
  for (const char* path : {"/", "/metrics/", "/metrics/../etc/passwd", "//metrics", "/etc/passwd"}) {
    EXPECT_EQ(status(ask(*exporter, path)), 404) << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONSENSE"}) {
    const std::string answer = ask(*exporter, "/metrics", method);
    EXPECT_EQ(status(answer), 405) << method << answer;
    EXPECT_NE(answer.find("Allow: GET, HEAD\r\n"), std::string::npos) << answer;
  }
  EXPECT_EQ(
      status(Client(*exporter).say("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n").hear()),
      405);
}

TEST_F(ServedAt, HealthIsThatTheLoopTurnsAndReadinessThatProbesStand) {
  const auto exporter = serve();
  EXPECT_EQ(status(ask(*exporter, "/healthz")), 200);
  EXPECT_EQ(status(ask(*exporter, "/readyz")), 503);
  exporter->set_ready(true);
  EXPECT_EQ(status(ask(*exporter, "/readyz")), 200);
  clock_.advance(limits_.stale_ns + 1);
  const std::string answer = ask(*exporter, "/healthz");
  EXPECT_EQ(status(answer), 503);
  EXPECT_NE(answer.find("told nothing for 30 s"), std::string::npos) << answer;
  exporter->publish("a 1\n");
  EXPECT_EQ(status(ask(*exporter, "/healthz")), 200);
}

TEST_F(ServedAt, WhatIsNoHttpOrTooLongEndsTheConnection) {
  limits_.silent_s = 1;
  const auto exporter = serve();
  exporter->publish("a 1\n");
  EXPECT_NE(status(Client(*exporter).say("\x16\x03\x01\x02\x00\x01\xfc\x03\x03 no http at all\r\n\r\n").hear()), 200);
  const std::string path(2 * limits_.request_bytes, 'x');
  EXPECT_NE(status(ask(*exporter, "/" + path)), 200);
  const std::string header = "X: " + path + "\r\n";
  EXPECT_NE(status(Client(*exporter).say("GET /metrics HTTP/1.1\r\nHost: x\r\n" + header + "\r\n").hear()), 200);
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
}

TEST_F(ServedAt, SlowClientsDoNotKeepOthersWaiting) {
  limits_.connections = 4;
  const auto exporter = serve();
  exporter->publish("a 1\n");
  std::vector<Client> slow;
  for (int i = 0; i < 4; ++i) {
    slow.emplace_back(*exporter).say("GET /metrics HTTP/1.1\r\nHost:");
    clock_.advance(1);
  }
  // Each one more takes the place of the oldest.
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
  }
  EXPECT_EQ(slow[0].hear(), "");
  EXPECT_GE(exporter->counts().crowded, 1u);
  EXPECT_EQ(exporter->counts().late, 0u);
}

TEST_F(ServedAt, AConnectionHasItsTime) {
  const auto exporter = serve();
  exporter->publish("a 1\n");
  Client slow(*exporter);
  slow.say("GET /metrics HTTP/1.1\r\n");
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);  // by now it was accepted
  clock_.advance(limits_.connection_ns + 1);
  slow.say("H");
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
  EXPECT_EQ(slow.hear(), "");
  EXPECT_EQ(exporter->counts().late, 1u);
}

TEST_F(ServedAt, AnAddressOpenToOthersIsRefused) {
  for (const char* where : {"0.0.0.0:0", "[::]:0", "192.0.2.1:9750"}) {
    const auto exporter = Exporter::start(*parse_listen_address(where), clock_, {}, {});
    ASSERT_FALSE(exporter) << where;
    EXPECT_EQ(exporter.error().kind, ErrorKind::kUsage);
    EXPECT_NE(exporter.error().message.find("open to other hosts"), std::string::npos);
  }
}

// printf 'a:U*U' | base64, and 'a:U*V'.
constexpr const char* kRight = "Authorization: Basic YTpVKlU=\r\n";
constexpr const char* kWrong = "Authorization: Basic YTpVKlY=\r\n";

std::string ask_as(const Exporter& exporter, const std::string& header, const std::string& path = "/metrics") {
  return Client(exporter).say("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n").hear();
}

TEST_F(ServedAt, APasswordIsAskedForEverywhere) {
  access_.users["a"] = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  const auto exporter = serve();
  exporter->publish("a 1\n");
  for (const char* path : {"/metrics", "/healthz", "/readyz", "/nothing"}) {
    const std::string answer = ask(*exporter, path);
    EXPECT_EQ(status(answer), 401) << path;
    EXPECT_NE(answer.find("WWW-Authenticate: Basic realm=\"mapwatch\"\r\n"), std::string::npos) << answer;
  }
  EXPECT_EQ(status(ask_as(*exporter, kWrong)), 401);
  const std::string later = ask_as(*exporter, kRight);
  EXPECT_EQ(status(later), 429) << "this address was wrong just now";
  EXPECT_NE(later.find("Retry-After: 1\r\n"), std::string::npos) << later;
  clock_.advance(1'000'000'000);
  EXPECT_EQ(status(ask_as(*exporter, kRight)), 200);
  EXPECT_EQ(status(ask_as(*exporter, kWrong)), 401);
  EXPECT_EQ(status(ask_as(*exporter, kRight)), 200) << "known by now";
  EXPECT_EQ(status(ask_as(*exporter, kRight, "/healthz")), 200);
  EXPECT_EQ(exporter->counts().refused, 7u);
}

TEST_F(ServedAt, PasswordsChangeWithoutAStart) {
  const auto exporter = serve();
  exporter->publish("a 1\n");
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
  access_.users["a"] = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  ASSERT_TRUE(exporter->may_use(access_));
  exporter->use(access_);
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 401);
  EXPECT_EQ(status(ask_as(*exporter, kRight)), 200);
  exporter->use({});
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
}

TEST_F(ServedAt, AnAddressInUseIsAnError) {
  const auto exporter = serve();
  const auto second = Exporter::start(*parse_listen_address(exporter->url().substr(7)), clock_, {}, {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("Address already in use"), std::string::npos) << second.error().message;
}

TEST_F(ServedAt, ASocketFileIsForItsOwnerAndGoesWithTheServer) {
  const test::TempDir dir;
  const std::string path = dir.path() + "/metrics.sock";
  auto exporter = serve("unix:" + path);
  exporter->publish("a 1\n");
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
  const auto second = Exporter::start(*parse_listen_address("unix:" + path), clock_, {}, {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another process does"), std::string::npos);
  exporter.reset();
  EXPECT_NE(::stat(path.c_str(), &info), 0);
}

TEST_F(ServedAt, ASocketFileOfADeadServerIsReplacedAndAFileIsNot) {
  const test::TempDir dir;
  const std::string path = dir.path() + "/metrics.sock";
  { const UniqueFd dead = *listen_at(*parse_listen_address("unix:" + path)); }  // its file stays
  const auto exporter = serve("unix:" + path);
  EXPECT_EQ(status(ask(*exporter, "/healthz")), 200);
  const std::string file = dir.path() + "/file";
  std::ofstream(file) << "precious";
  const auto refused = Exporter::start(*parse_listen_address("unix:" + file), clock_, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is no socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(ServedAt, IPv6) {
  const auto exporter = serve("[::1]:0");
  ASSERT_TRUE(exporter);
  EXPECT_TRUE(exporter->url().starts_with("http://[::1]:")) << exporter->url();
  exporter->publish("a 1\n");
  EXPECT_EQ(status(ask(*exporter, "/metrics")), 200);
}

}  // namespace
}  // namespace mapwatch::ops
