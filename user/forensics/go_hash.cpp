#include "forensics/go_hash.h"

#include <algorithm>
#include <cstring>

namespace mapwatch::forensics {
namespace {

/// An XMM register, byte 0 lowest.
using Block = std::array<std::uint8_t, 16>;

constexpr std::uint8_t times_two(std::uint8_t x) { return static_cast<std::uint8_t>((x << 1) ^ ((x >> 7) * 0x1b)); }

constexpr std::uint8_t rotate(std::uint8_t x, unsigned by) {
  return static_cast<std::uint8_t>((x << by) | (x >> (8 - by)));
}

/// FIPS 197, section 5.1.1: the inverse in GF(2^8), then an affine map.
constexpr std::array<std::uint8_t, 256> make_sbox() {
  std::array<std::uint8_t, 256> box{};
  std::uint8_t p = 1;
  std::uint8_t q = 1;
  do {
    p = static_cast<std::uint8_t>(p ^ times_two(p));  // p times 3
    q = static_cast<std::uint8_t>(q ^ (q << 1));      // q divided by 3
    q = static_cast<std::uint8_t>(q ^ (q << 2));
    q = static_cast<std::uint8_t>(q ^ (q << 4));
    if ((q & 0x80) != 0) {
      q ^= 0x09;
    }
    box[p] = static_cast<std::uint8_t>(q ^ rotate(q, 1) ^ rotate(q, 2) ^ rotate(q, 3) ^ rotate(q, 4) ^ 0x63);
  } while (p != 1);
  box[0] = 0x63;
  return box;
}

/// SubBytes and MixColumns of one byte of a column, as a little-endian word: table 0; the others are rotations of it.
constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  const auto box = make_sbox();
  for (std::size_t i = 0; i < 256; ++i) {
    const std::uint32_t s = box[i];
    const std::uint32_t s2 = times_two(box[i]);
    table[i] = s2 | (s << 8) | (s << 16) | ((s2 ^ s) << 24);
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

constexpr std::uint32_t rotate_word(std::uint32_t x, unsigned by) { return (x << by) | (x >> (32 - by)); }

Block exclusive_or(const Block& a, const Block& b) {
  Block out;
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = a[i] ^ b[i];
  }
  return out;
}

/// The AESENC instruction: ShiftRows, SubBytes, MixColumns, then the round key.
Block aes_round(const Block& state, const Block& key) {
  Block out;
  for (std::size_t column = 0; column < 4; ++column) {
    const auto at = [&](std::size_t row) { return state[4 * ((column + row) % 4) + row]; };
    const std::uint32_t word =
        kTable[at(0)] ^ rotate_word(kTable[at(1)], 8) ^ rotate_word(kTable[at(2)], 16) ^ rotate_word(kTable[at(3)], 24);
    std::memcpy(out.data() + 4 * column, &word, 4);
  }
  return exclusive_or(out, key);
}

/// `AESENC X, X`: the state is its own round key.
Block scramble(const Block& x) { return aes_round(x, x); }

Block load(std::span<const std::uint8_t> data, std::size_t offset) {
  Block out{};
  std::memcpy(out.data(), data.data() + offset, std::min<std::size_t>(16, data.size() - offset));
  return out;
}

Block key_block(const HashKeys& keys, std::size_t index) { return load(keys, index * 16); }

std::uint64_t low_word(const Block& block) {
  std::uint64_t word;
  std::memcpy(&word, block.data(), 8);
  return word;
}

Block scramble_three_times(const Block& x) { return scramble(scramble(scramble(x))); }

/// The blocks of lengths above 16: `lanes` (2, 4 or 8) of 16 bytes, half from the start and half up to the end.
std::uint64_t hash_lanes(const std::array<Block, 8>& seeds, std::span<const std::uint8_t> data, std::size_t lanes) {
  std::array<Block, 8> x;
  for (std::size_t i = 0; i < lanes; ++i) {
    const std::size_t half = lanes / 2;
    const std::size_t offset = i < half ? i * 16 : data.size() - (lanes - i) * 16;
    x[i] = scramble_three_times(exclusive_or(load(data, offset), seeds[i]));
  }
  for (std::size_t step = lanes / 2; step > 0; step /= 2) {
    for (std::size_t i = 0; i < step; ++i) {
      x[i] = exclusive_or(x[i], x[i + step]);
    }
  }
  return low_word(x[0]);
}

std::uint64_t hash_long(const std::array<Block, 8>& seeds, std::span<const std::uint8_t> data) {
  std::array<Block, 8> x;
  for (std::size_t i = 0; i < 8; ++i) {
    x[i] = exclusive_or(load(data, data.size() - 128 + i * 16), seeds[i]);
  }
  const std::size_t rounds = (data.size() - 1) / 128;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < 8; ++i) {
      x[i] = aes_round(scramble(x[i]), load(data, round * 128 + i * 16));
    }
  }
  for (auto& lane : x) {
    lane = scramble_three_times(lane);
  }
  for (std::size_t step = 4; step > 0; step /= 2) {
    for (std::size_t i = 0; i < step; ++i) {
      x[i] = exclusive_or(x[i], x[i + step]);
    }
  }
  return low_word(x[0]);
}

std::uint64_t hash_value(const HashKeys& keys, std::uint64_t seed, std::uint64_t high) {
  Block x;
  std::memcpy(x.data(), &seed, 8);
  std::memcpy(x.data() + 8, &high, 8);
  return low_word(aes_round(aes_round(aes_round(x, key_block(keys, 0)), key_block(keys, 1)), key_block(keys, 2)));
}

}  // namespace

std::uint64_t go_memhash32(const HashKeys& keys, std::uint64_t seed, std::uint32_t value) {
  return hash_value(keys, seed, value);
}

std::uint64_t go_memhash64(const HashKeys& keys, std::uint64_t seed, std::uint64_t value) {
  return hash_value(keys, seed, value);
}

std::uint64_t go_memhash(const HashKeys& keys, std::uint64_t seed, std::span<const std::uint8_t> data) {
  Block base;  // the seed, then the low 16 bits of the length four times
  std::memcpy(base.data(), &seed, 8);
  const auto length = static_cast<std::uint16_t>(data.size());
  for (std::size_t i = 0; i < 4; ++i) {
    std::memcpy(base.data() + 8 + 2 * i, &length, 2);
  }
  std::array<Block, 8> seeds;
  const std::size_t lanes = data.size() <= 16 ? 1 : data.size() <= 32 ? 2 : data.size() <= 64 ? 4 : 8;
  for (std::size_t i = 0; i < lanes; ++i) {
    seeds[i] = scramble(exclusive_or(base, key_block(keys, i)));
  }
  if (data.empty()) {
    return low_word(scramble(seeds[0]));
  }
  if (data.size() <= 16) {
    return low_word(scramble_three_times(exclusive_or(load(data, 0), seeds[0])));
  }
  return data.size() <= 128 ? hash_lanes(seeds, data, lanes) : hash_long(seeds, data);
}

}  // namespace mapwatch::forensics
