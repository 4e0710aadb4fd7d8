#include "ops/basic_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/sha256.h"

namespace mapwatch::ops {
namespace {

/// After a check that took T, none for 3 T; for one who was wrong none for 16 T, at least a second.
constexpr std::uint64_t kPause = 3;
constexpr std::uint64_t kPauseOfWrong = 16;
constexpr std::uint64_t kLeastPauseOfWrongNs = 1'000'000'000;
constexpr std::string_view kScheme = "Basic ";

struct Credential {
  std::string user;
  std::string password;
};

std::optional<Credential> parse(std::string_view header) {
  if (header.size() < kScheme.size() || ::strncasecmp(header.data(), kScheme.data(), kScheme.size()) != 0) {
    return std::nullopt;
  }
  const auto text = decode_base64(header.substr(kScheme.size()));
  // For crypt(3) a password ends at a NUL.
  if (!text || text->find('\0') != std::string::npos || text->find(':') == std::string::npos) {
    return std::nullopt;
  }
  const std::size_t colon = text->find(':');
  return Credential{text->substr(0, colon), text->substr(colon + 1)};
}

/// Compares in a time that does not tell where two texts differ.
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string random_key() {
  std::string key(32, '\0');
  if (::RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) != 1) {
    std::abort();  // no system that TLS or anything else could be done on
  }
  return key;
}

/// The hash that a name is checked against: its own, or always the same one of another's.
const std::string& hash_for(const Users& users, const std::string& name, const std::string& digest_of_name) {
  if (const auto found = users.find(name); found != users.end()) {
    return found->second;
  }
  const std::size_t other = std::hash<std::string>{}(digest_of_name) % users.size();
  return std::next(users.begin(), static_cast<std::ptrdiff_t>(other))->second;
}

}  // namespace

bool bcrypt_matches(const std::string& password, const std::string& hash) {
  const auto space = std::make_unique<crypt_data>();
  const char* made = ::crypt_r(password.c_str(), hash.c_str(), space.get());
  return made != nullptr && same(made, hash);
}

BasicAuth::BasicAuth(const Clock& clock, Check check) : clock_(clock), check_(std::move(check)), key_(random_key()) {}

bool BasicAuth::known(const std::string& digest) const {
  return std::ranges::any_of(right_, [&](const std::string& each) { return same(each, digest); });
}

void BasicAuth::remember_wrong(const std::string& peer, std::uint64_t until_ns) {
  auto place = std::ranges::find(wrong_, peer, &Wrong::peer);
  place = place != wrong_.end() ? place : std::ranges::min_element(wrong_, {}, &Wrong::until_ns);
  *place = {peer, until_ns};
}

Verdict BasicAuth::check(const Users& users, std::string_view header, const std::string& peer) {
  const auto given = parse(header);
  if (!given) {
    return Verdict::kRefused;
  }
  const std::string hash = hash_for(users, given->user, hmac_sha256_base64(key_, given->user));
  const std::string digest = hmac_sha256_base64(key_, given->user + '\0' + given->password + '\0' + hash);
  if (known(digest)) {
    return Verdict::kGranted;
  }
  const std::uint64_t begun = clock_.monotonic_ns();
  const bool early =
      std::ranges::any_of(wrong_, [&](const Wrong& each) { return each.peer == peer && begun < each.until_ns; });
  if (begun < next_check_ns_ || early) {
    return Verdict::kLater;
  }
  const bool right = check_(given->password, hash) && users.contains(given->user);
  const std::uint64_t ended = clock_.monotonic_ns();
  next_check_ns_ = ended + kPause * (ended - begun);
  if (!right) {
    remember_wrong(peer, ended + std::max(kPauseOfWrong * (ended - begun), kLeastPauseOfWrongNs));
    return Verdict::kRefused;
  }
  right_[next_right_++ % right_.size()] = digest;
  return Verdict::kGranted;
}

}  // namespace mapwatch::ops
