#include "base/words.h"

#include <gtest/gtest.h>

namespace mapwatch {
namespace {

using Words = std::vector<std::string>;

Words words(std::string_view text) {
  const auto split = split_words(text);
  EXPECT_TRUE(split) << text << ": " << split.error().message;
  return split.value_or(Words{});
}

TEST(SplitWords, AsAShellWouldForQuotesAndNothingElse) {
  EXPECT_EQ(words("/bin/a"), Words{"/bin/a"});
  EXPECT_EQ(words(" /bin/a \t b  "), (Words{"/bin/a", "b"}));
  EXPECT_EQ(words(R"(a 'b c' "d e")"), (Words{"a", "b c", "d e"}));
  EXPECT_EQ(words(R"(a'b "c'd"e 'f"g)"), (Words{R"(ab "cde 'fg)"}));
  EXPECT_EQ(words(R"(a '' "")"), (Words{"a", "", ""}));
  EXPECT_EQ(words(R"(a\ b \'c\' \\)"), (Words{"a b", "'c'", "\\"}));
  EXPECT_EQ(words(R"("a\"b\\c\d")"), Words{R"(a"b\c\d)"});
  EXPECT_EQ(words(R"('a\b\')"), Words{R"(a\b\)"});
  EXPECT_EQ(words("a $HOME * | b > c # d `e` ~"), (Words{"a", "$HOME", "*", "|", "b", ">", "c", "#", "d", "`e`", "~"}));
}

TEST(SplitWords, WhatIsNotWholeIsAnError) {
  for (const std::string_view text :
       {std::string_view(""), std::string_view(" \t"), std::string_view("a 'b"), std::string_view("a \"b"),
        std::string_view("a\\"), std::string_view("a\nb"), std::string_view("a\0b", 3), std::string_view("\"a\\")}) {
    const auto split = split_words(text);
    ASSERT_FALSE(split) << text;
    EXPECT_EQ(split.error().kind, ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace mapwatch
