#include "base/guarded_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temp_dir.h"

namespace mapwatch {
namespace {

TEST(GuardedFile, WhoElseMayReadOrChangeItDecides) {
  const test::TempDir dir;
  dir.write("file", "text");
  const std::string path = dir.file("file");
  struct Case {
    mode_t mode;
    bool guarded;
    bool secret;
  };
  for (const auto& [mode, guarded, secret] :
       {Case{0600, true, true}, Case{0640, true, true}, Case{0644, true, false}, Case{0604, true, false},
        Case{0660, false, false}, Case{0602, false, false}}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const auto file = read_guarded_file(path, 4);
    ASSERT_EQ(file.has_value(), guarded) << std::oct << mode;
    EXPECT_EQ(guarded ? file->text : "text", "text");
    EXPECT_EQ(read_secret_file(path, 4).has_value(), secret) << std::oct << mode;
  }
}

TEST(GuardedFile, WhatIsTooLongOrNoFileIsAnError) {
  const test::TempDir dir;
  dir.write("file", "text");
  const auto longer = read_guarded_file(dir.file("file"), 3);
  ASSERT_FALSE(longer);
  EXPECT_TRUE(longer.error().message.ends_with("/file is longer than 3 bytes")) << longer.error().message;
  EXPECT_FALSE(read_guarded_file(dir.path(), 10));
  EXPECT_FALSE(read_guarded_file("/dev/null", 10));
  EXPECT_FALSE(read_guarded_file(dir.file("none"), 10));
}

}  // namespace
}  // namespace mapwatch
