// A dispatcher with a receiver that answers as the test says, on a clock that the test moves, with a disk that it takes
// away.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "alert/dispatcher.h"
#include "base/manual_clock.h"
#include "base/temp_dir.h"

namespace mapwatch::alert {

using Json = nlohmann::json;

inline constexpr std::uint64_t kSecond = 1'000'000'000;
inline constexpr std::uint64_t kMinute = 60 * kSecond;

struct Got {
  std::uint64_t at_ns = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  std::string url;
  std::string key() const { return headers.at("webhook-id"); }
};

/// Answers as the test says, and keeps what it took.
class FakeReceiver final : public Transport {
 public:
  explicit FakeReceiver(test::ManualClock& clock) : clock_(clock) {}

  Result<Answer> post(const Request& request) override {
    Got got;
    got.at_ns = clock_.monotonic_ns();
    got.body = request.body;
    got.url = request.url;
    for (const std::string& header : request.headers) {
      const std::size_t colon = header.find(':');
      got.headers[header.substr(0, colon)] = header.substr(std::min(colon + 2, header.size()));
    }
    tries.push_back(got);
    clock_.advance(takes_ns);
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    if (answer->status == 200) {
      taken.push_back(std::move(got));
    }
    return answer;
  }
  void answers(long status, std::string retry_after = "") { answer = Answer{status, std::move(retry_after), "text"}; }
  void is_down() { answer = fail(ErrorKind::kFailed, "Couldn't connect to server"); }

  Result<Answer> answer = Answer{200, "", ""};
  std::uint64_t takes_ns = 0;
  std::vector<Got> tries;
  std::vector<Got> taken;

 private:
  test::ManualClock& clock_;
};

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() {
    clock_.set(kMinute, 1'795'000'000'000'000'000);
    receiver_.name = "webhook";
    receiver_.url = "http://127.0.0.1/hook";
    start();
  }
  /// Anew, with what is on the disk.
  void start() {
    dispatcher_.reset();
    dispatcher_.emplace(
        receiver_, clock_, transport_, [this] { return open_store(); }, ++seed_);
  }
  Result<Store> open_store() {
    if (no_disk_) {
      return fail(ErrorKind::kFailed, "no disk");
    }
    return Store::open(dir_.file("webhook.db"), room_);
  }
  static Sighting seen(const std::string& id, std::size_t size = 1) {
    return {{{"alertname", "A"}, {"exe", "/srv/" + id}, {"id", id}}, {{"summary", std::string(size, 's')}}, 5};
  }
  /// Steps as the thread would, until `ns` are over.
  void pass(std::uint64_t ns) {
    const std::uint64_t end = clock_.monotonic_ns() + ns;
    for (;;) {
      const std::uint64_t next = dispatcher_->step();
      ++steps_;
      if (next >= end) {
        break;
      }
      clock_.advance(next > clock_.monotonic_ns() ? next - clock_.monotonic_ns() : 0);
    }
    if (clock_.monotonic_ns() < end) {
      clock_.advance(end - clock_.monotonic_ns());
    }
    dispatcher_->step();
  }
  static std::set<std::string> ids(const std::vector<Got>& all) {
    std::set<std::string> out;
    for (const Got& got : all) {
      const Json body = Json::parse(got.body);
      for (const Json& alert : body.is_array() ? body : body["alerts"]) {
        out.insert(alert["labels"]["id"].get<std::string>());
      }
    }
    return out;
  }

  test::TempDir dir_;
  test::ManualClock clock_;
  FakeReceiver transport_{clock_};
  Receiver receiver_;
  std::optional<Dispatcher> dispatcher_;
  bool no_disk_ = false;
  std::uint64_t room_ = 64u << 20;
  std::uint32_t seed_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace mapwatch::alert
