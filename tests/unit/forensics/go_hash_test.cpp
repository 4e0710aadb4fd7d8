// The hash in software against the processor's own AESENC, instruction by instruction as runtime/asm_amd64.s has them.
#include <gtest/gtest.h>
#include <immintrin.h>

#include <vector>

#include "forensics/go_hash.h"

namespace mapwatch::forensics {
namespace {

#define AES_TARGET __attribute__((target("aes,sse4.1")))

AES_TARGET __m128i key_at(const HashKeys& keys, int index) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(keys.data() + 16 * index));
}

AES_TARGET std::uint64_t low(__m128i x) { return static_cast<std::uint64_t>(_mm_cvtsi128_si64(x)); }

AES_TARGET std::uint64_t value_by_instruction(const HashKeys& keys, std::uint64_t seed, std::uint64_t value) {
  __m128i x = _mm_set_epi64x(static_cast<long long>(value), static_cast<long long>(seed));
  for (int i = 0; i < 3; ++i) {
    x = _mm_aesenc_si128(x, key_at(keys, i));
  }
  return low(x);
}

AES_TARGET __m128i thrice(__m128i x) {
  for (int i = 0; i < 3; ++i) {
    x = _mm_aesenc_si128(x, x);
  }
  return x;
}

/// aes0, aes0to15, aes16 and aes17to32 of aeshashbody.
AES_TARGET std::uint64_t memory_by_instruction(const HashKeys& keys, std::uint64_t seed,
                                               const std::vector<std::uint8_t>& data) {
  const auto size = static_cast<short>(data.size());
  __m128i base = _mm_cvtsi64_si128(static_cast<long long>(seed));
  base = _mm_shufflehi_epi16(_mm_insert_epi16(base, size, 4), 0);
  __m128i x0 = _mm_xor_si128(base, key_at(keys, 0));
  x0 = _mm_aesenc_si128(x0, x0);
  if (data.empty()) {
    return low(_mm_aesenc_si128(x0, x0));
  }
  if (data.size() <= 16) {
    std::vector<std::uint8_t> padded(data);
    padded.resize(16);
    return low(thrice(_mm_xor_si128(x0, _mm_loadu_si128(reinterpret_cast<const __m128i*>(padded.data())))));
  }
  __m128i x1 = _mm_xor_si128(base, key_at(keys, 1));
  x1 = _mm_aesenc_si128(x1, x1);
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data.data()));
  const __m128i last = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data.data() + data.size() - 16));
  return low(_mm_xor_si128(thrice(_mm_xor_si128(first, x0)), thrice(_mm_xor_si128(last, x1))));
}

HashKeys some_keys() {
  HashKeys keys;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i] = static_cast<std::uint8_t>(i * i * 7 + 3);
  }
  return keys;
}

class GoHash : public testing::Test {
 protected:
  void SetUp() override {
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("sse4.1")) {
      GTEST_SKIP() << "this processor has no AES instructions";
    }
  }
  HashKeys keys_ = some_keys();
};

TEST_F(GoHash, OfWordsIsThatOfTheInstructions) {
  std::uint64_t value = 0;
  for (int i = 0; i < 1000; ++i, value = value * 6364136223846793005ULL + 1442695040888963407ULL) {
    ASSERT_EQ(go_memhash64(keys_, ~value, value), value_by_instruction(keys_, ~value, value));
    const auto narrow = static_cast<std::uint32_t>(value);
    ASSERT_EQ(go_memhash32(keys_, value, narrow), value_by_instruction(keys_, value, narrow));
  }
}

TEST_F(GoHash, OfMemoryIsThatOfTheInstructions) {
  std::vector<std::uint8_t> data;
  for (std::size_t size = 0; size <= 32; ++size) {
    EXPECT_EQ(go_memhash(keys_, 42 + size, data), memory_by_instruction(keys_, 42 + size, data)) << size;
    data.push_back(static_cast<std::uint8_t>(size * 31 + 1));
  }
}

}  // namespace
}  // namespace mapwatch::forensics
