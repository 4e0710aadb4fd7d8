// Basic authentication (RFC 7617) against bcrypt hashes, which are slow on purpose: who guesses passwords must not keep
// those waiting who know theirs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "ops/web_config.h"

namespace mapwatch::ops {

enum class Verdict {
  kGranted,
  kRefused,
  kLater,  ///< it was not looked at: enough was checked just now
};

/// Whether crypt(3) makes `hash` of `password`.
bool bcrypt_matches(const std::string& password, const std::string& hash);

/// For one thread. What was right before is known again by a keyed digest of name, password and hash, and costs next to
/// nothing. Checks take a quarter of the time at most. Whoever was wrong waits longer than that, so that one address
/// does not use up what there is for all. A name that does not exist is checked against the hash of one that does.
class BasicAuth {
 public:
  using Check = std::function<bool(const std::string& password, const std::string& hash)>;
  /// `clock` must outlive it.
  explicit BasicAuth(const Clock& clock, Check check = bcrypt_matches);

  /// `header`: the value of Authorization. `peer`: who asks, as far as that is known. `users` is not empty.
  Verdict check(const Users& users, std::string_view header, const std::string& peer);

 private:
  struct Wrong {
    std::string peer;
    std::uint64_t until_ns = 0;
  };
  bool known(const std::string& digest) const;
  void remember_wrong(const std::string& peer, std::uint64_t until_ns);

  const Clock& clock_;
  const Check check_;
  const std::string key_;
  std::array<std::string, 16> right_;  ///< digests; the oldest is replaced
  std::size_t next_right_ = 0;
  std::array<Wrong, 64> wrong_;
  std::uint64_t next_check_ns_ = 0;
};

}  // namespace mapwatch::ops
