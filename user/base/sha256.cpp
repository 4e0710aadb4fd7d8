#include "base/sha256.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mapwatch {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Digest digest(std::string_view data) {
  Digest out;
  ::SHA256(bytes(data), data.size(), out.data());
  return out;
}

std::string base64(const Digest& digest) {
  std::array<unsigned char, (SHA256_DIGEST_LENGTH + 2) / 3 * 4 + 1> text;  // and a NUL
  const int length = ::EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  return {text.begin(), text.begin() + length};
}

}  // namespace

std::string sha256_hex(std::string_view data) {
  std::string hex;
  for (const unsigned char byte : digest(data)) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

std::string sha256_base64(std::string_view data) { return base64(digest(data)); }

std::string hmac_sha256_base64(std::string_view key, std::string_view data) {
  Digest out;
  unsigned length = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(data), data.size(), out.data(), &length);
  return base64(out);
}

std::optional<std::string> decode_base64(std::string_view text) {
  const std::size_t digits = std::min(text.find('='), text.size());
  const std::size_t padding = text.size() - digits;
  // EVP_DecodeBlock skips blanks at both ends and counts padding as bytes.
  const bool plain = std::ranges::all_of(text.substr(0, digits), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  });
  if (!plain || text.size() % 4 != 0 || padding > 2 ||
      text.substr(digits) != std::string_view("==").substr(2 - padding)) {
    return std::nullopt;
  }
  std::string out(text.size() / 4 * 3, '\0');
  if (::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes(text), static_cast<int>(text.size())) < 0) {
    return std::nullopt;
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace mapwatch
