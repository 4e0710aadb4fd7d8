#include "base/escape.h"

#include <gtest/gtest.h>

namespace mapwatch {
namespace {

TEST(Escape, KeepsText) {
  EXPECT_EQ(escape("main.(*cache).put[...]"), "main.(*cache).put[...]");
  EXPECT_EQ(escape("größe 世界 🙂"), "größe 世界 🙂");
  EXPECT_EQ(escape(""), "");
}

TEST(Escape, LinesKeepTheirEndsAndTabs) {
  EXPECT_EQ(escape_lines("a\tb\n\n\x1b[1m\r\nlast"), "a\tb\n\n\\x1b[1m\\x0d\nlast");
  EXPECT_EQ(escape_lines(""), "");
  EXPECT_EQ(escape_lines("\n"), "\n");
  EXPECT_EQ(escape_lines(std::string(10'000, 'x')), std::string(10'000, 'x'));
}

TEST(Escape, ControlsOfAllKinds) {
  EXPECT_EQ(escape("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(escape("a\nb\r\t"), "a\\x0ab\\x0d\\x09");
  EXPECT_EQ(escape(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape("\x7f"), "\\x7f");
  EXPECT_EQ(escape("\xc2\x9b"), "\\u{9b}") << "C1 CSI";
  EXPECT_EQ(escape("\xe2\x80\xae"), "\\u{202e}") << "right-to-left override";
  EXPECT_EQ(escape("\xe2\x80\xa8"), "\\u{2028}");
}

TEST(Escape, WhatIsNoUtf8) {
  EXPECT_EQ(escape("\xff"), "\\xff");
  EXPECT_EQ(escape("\xc3"), "\\xc3") << "cut";
  EXPECT_EQ(escape("\xc0\x9b"), "\\xc0\\x9b") << "over-long";
  EXPECT_EQ(escape("\xe0\x80\x9b"), "\\xe0\\x80\\x9b") << "over-long";
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
}

TEST(Escape, IsBounded) {
  const std::string cut = escape(std::string(10000, 'x'), 100);
  EXPECT_EQ(cut.size(), 100u);
  EXPECT_TRUE(cut.ends_with("x..."));
  EXPECT_EQ(escape(std::string(100, 'x'), 100), std::string(100, 'x'));
  EXPECT_LE(escape(std::string(10000, '\x1b'), 100).size(), 100u);
}

}  // namespace
}  // namespace mapwatch
