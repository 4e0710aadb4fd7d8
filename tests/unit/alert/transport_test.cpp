#include "alert/transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"

#include "base/unique_fd.h"
#include "base/url.h"

namespace mapwatch::alert {
namespace {

using testing::HasSubstr;

/// Takes one connection, reads a request to its end and says `answer`; nothing, when that is empty, until the client
/// goes.
class Server {
 public:
  explicit Server(std::string answer) : answer_(std::move(answer)) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook"; }
  /// After the answer.
  const std::string& request() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) {
      thread_.join();
      thread_ = std::thread([] {});
    }
    return request_;
  }

 private:
  void serve() {
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char piece[4096];
    for (;;) {
      const std::size_t head = request_.find("\r\n\r\n");
      const bool whole = head != std::string::npos && request_.ends_with("THE END");
      if (whole && !answer_.empty()) {
        (void)::send(client.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
        return;
      }
      const ssize_t got = ::recv(client.get(), piece, sizeof(piece), 0);
      if (got <= 0) {
        return;
      }
      request_.append(piece, static_cast<std::size_t>(got));
    }
  }

  std::string answer_;
  std::string request_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

class TransportTest : public testing::Test {
 protected:
  TransportTest() : transport_(std::move(*CurlTransport::create(clock_))) {}
  Result<Answer> post(const std::string& url, const std::string& body = "body THE END") {
    return transport_->post({url, {"Content-Type: application/json", "Expect:", "X-Ours: yes"}, body});
  }

  const SystemClock clock_;
  std::unique_ptr<CurlTransport> transport_;
};

TEST_F(TransportTest, SendsTheBodyAndTheHeaders) {
  Server server("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
  const std::string body = std::string(2'000'000, 'x') + "THE END";
  const auto answer = post(server.url(), body);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 202);
  EXPECT_EQ(answer->text, "ok");
  EXPECT_EQ(answer->retry_after, "");
  const std::string& request = server.request();
  EXPECT_THAT(request.substr(0, 500), testing::StartsWith("POST /hook HTTP/1.1\r\n"));
  EXPECT_THAT(request.substr(0, 500), HasSubstr("X-Ours: yes\r\n"));
  EXPECT_THAT(request.substr(0, 500), HasSubstr("User-Agent: mapwatch/"));
  EXPECT_TRUE(request.ends_with("\r\n\r\n" + body));
}

TEST_F(TransportTest, ARedirectIsAnAnswerAndNotFollowed) {
  Server server("HTTP/1.1 307 Go\r\nLocation: file:///etc/passwd\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
  const auto answer = post(server.url());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 307);
  EXPECT_EQ(answer->retry_after, "7");
  EXPECT_EQ(answer->text, "");
}

TEST_F(TransportTest, OfALongAnswerTheFirstIsKept) {
  Server server("HTTP/1.1 500 No\r\nConnection: close\r\n\r\n" + std::string(1'000'000, 'y'));
  const auto answer = post(server.url());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->text, std::string(256, 'y'));
}

TEST_F(TransportTest, WhatIsNoAnswerIsAnError) {
  {
    Server server("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_FALSE(post(server.url()));
  }
  std::string gone;
  {
    Server server("");
    gone = server.url();
  }
  EXPECT_FALSE(post(gone));
  EXPECT_FALSE(post("file:///etc/passwd"));
  EXPECT_FALSE(post("gopher://127.0.0.1/"));
}

TEST_F(TransportTest, AReceiverThatSaysNothingIsLeftAtTheEnd) {
  Server server("");
  transport_->end_by(clock_.monotonic_ns() + 200'000'000);
  const auto answer = post(server.url());
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("callback")) << "by ourselves, not by its time limit";
}

/// Found at the start, and not when the first alert cannot be sent.
TEST(CaFile, HoldsCertificates) {
  EXPECT_TRUE(check_ca_file("/etc/ssl/certs/ca-certificates.crt"));
  const test::TempDir dir;
  const auto gone = check_ca_file(dir.file("none"));
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message, HasSubstr("none cannot be opened"));
  dir.write("spoiled", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  dir.write("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  dir.write("empty", "");
  for (const std::string& path : {dir.file("spoiled"), dir.file("key"), dir.file("empty"), dir.path()}) {
    const auto bad = check_ca_file(path);
    ASSERT_FALSE(bad) << path;
    EXPECT_THAT(bad.error().message, HasSubstr(path + " has no certificate"));
  }
}

TEST(ShownUrl, TellsNoSecret) {
  EXPECT_EQ(shown_url("https://hooks.example.net/T00/B00/secret?token=x#y"), "https://hooks.example.net");
  EXPECT_EQ(shown_url("http://127.0.0.1:9093/api"), "http://127.0.0.1:9093");
  EXPECT_EQ(shown_url("https://user:secret@a.example/"), "https://a.example");
  EXPECT_EQ(shown_url("no address"), "(no address)");
}

}  // namespace
}  // namespace mapwatch::alert
