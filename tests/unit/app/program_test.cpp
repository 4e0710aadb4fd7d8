#include "app/program.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/gofmt.h"
#include "app/host_dir.h"
#include "attach/children.h"
#include "attach/kernel.h"

namespace mapwatch::app {
namespace {

std::shared_ptr<const ParsedProgram> tiny(const std::string& path) {
  auto file = elf::MappedFile::open(path);
  EXPECT_TRUE(file);
  auto binary = elf::GoBinary::parse(file->bytes());
  EXPECT_TRUE(binary);
  return std::make_shared<const ParsedProgram>(
      ParsedProgram{std::make_shared<const elf::MappedFile>(std::move(*file)), std::move(*binary)});
}

class ParsedProgramsTest : public testing::Test {
 protected:
  ParsedProgramsTest() : program_(tiny(host_.go("tiny"))), one_(program_->binary.heap_bytes()) {}

  test::HostDir host_;
  std::shared_ptr<const ParsedProgram> program_;
  std::size_t one_;
  int owners_[3] = {};
};

TEST_F(ParsedProgramsTest, KeepsThoseUsedLastWithinItsLimit) {
  ParsedPrograms parsed(2 * one_);
  parsed.put(&owners_[0], program_);
  parsed.put(&owners_[1], program_);
  EXPECT_TRUE(parsed.find(&owners_[0]));
  parsed.put(&owners_[2], program_);
  EXPECT_TRUE(parsed.find(&owners_[0]));
  EXPECT_FALSE(parsed.find(&owners_[1]));
  EXPECT_TRUE(parsed.find(&owners_[2]));
  EXPECT_EQ(parsed.bytes(), 2 * one_);
  parsed.drop(&owners_[0]);
  EXPECT_FALSE(parsed.find(&owners_[0]));
  EXPECT_EQ(parsed.bytes(), one_);
}

TEST_F(ParsedProgramsTest, OneThatIsTooLargeIsNotKept) {
  ParsedPrograms parsed(one_ - 1);
  parsed.put(&owners_[0], program_);
  EXPECT_FALSE(parsed.find(&owners_[0]));
  EXPECT_EQ(parsed.bytes(), 0u);
}

TEST_F(ParsedProgramsTest, PutAgainCountsOnce) {
  ParsedPrograms parsed(4 * one_);
  parsed.put(&owners_[0], program_);
  parsed.put(&owners_[0], program_);
  EXPECT_EQ(parsed.bytes(), one_);
}

class ProgramCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    gofmt_ = test::find_gofmt();
    if (gofmt_.empty()) {
      GTEST_SKIP() << "no gofmt on this machine";
    }
    ASSERT_EQ(::mkfifo(input_.c_str(), 0600), 0);
  }
  /// Runs until the end of the test: nobody writes to its input.
  test::Child run(const std::string& path) const { return test::Child(path, {input_}); }
  std::string copy(const std::string& name) const {
    const std::string path = host_.bin() + "/" + name;
    std::filesystem::copy_file(gofmt_, path, std::filesystem::copy_options::overwrite_existing);
    return path;
  }
  static std::shared_ptr<const Program> load(ProgramCache& cache, int pid) {
    auto target = attach::Target::open(pid);
    EXPECT_TRUE(target);
    auto program = cache.load(*target);
    EXPECT_TRUE(program) << program.error().message;
    return program ? *program : nullptr;
  }

  test::HostDir host_;
  std::string gofmt_;
  const std::string input_ = host_.bin() + "/input.go";
};

TEST_F(ProgramCacheTest, CopiesOfOneProgramShareIt) {
  ProgramCache cache;
  const test::Child one = run(copy("one"));
  const test::Child again = run(copy("two"));
  const auto program = load(cache, one.pid());
  ASSERT_TRUE(program);
  EXPECT_EQ(load(cache, one.pid()), program);
  EXPECT_EQ(load(cache, again.pid()), program);
}

TEST_F(ProgramCacheTest, TheLayoutIsThatOfItsDwarf) {
  ProgramCache cache;
  const test::Child one = run(copy("one"));
  const auto program = load(cache, one.pid());
  ASSERT_TRUE(program);
  const auto file = elf::MappedFile::open(gofmt_);
  ASSERT_TRUE(file);
  const auto binary = elf::GoBinary::parse(file->bytes());
  ASSERT_TRUE(binary);
  const mw_layout expected = attach::layout_of(*binary);
  EXPECT_EQ(std::memcmp(&program->layout(), &expected, sizeof(expected)), 0);
}

TEST_F(ProgramCacheTest, ADeletedFileIsNotKeptOpenForACopyOfIt) {
  ProgramCache cache(0);
  const std::string path = copy("one");
  const test::Child old = run(path);
  const auto program = load(cache, old.pid());
  ASSERT_TRUE(program);
  ASSERT_TRUE(program->file());
  std::filesystem::remove(path);
  const test::Child again = run(copy("two"));
  EXPECT_EQ(load(cache, again.pid()), program);
  const auto file = program->file();
  ASSERT_TRUE(file);
  struct stat status = {};
  ASSERT_EQ(::fstat(file->get(), &status), 0);
  EXPECT_EQ(status.st_nlink, 1u);
  EXPECT_TRUE(program->get());
}

TEST_F(ProgramCacheTest, EqualBuildIdsAreNotBelieved) {
  ProgramCache cache;
  const std::string other = copy("two");
  std::fstream file(other, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('!');
  file.close();
  const test::Child one = run(copy("one"));
  const test::Child two = run(other);
  EXPECT_NE(load(cache, one.pid()), load(cache, two.pid()));
}

TEST_F(ProgramCacheTest, ReadAgainWhenForgottenWhileTheFileIsWhatItWas) {
  ProgramCache cache(0);
  const std::string path = copy("one");
  std::shared_ptr<const Program> program;
  {
    const test::Child one = run(path);
    program = load(cache, one.pid());
    ASSERT_TRUE(program);
    const auto binary = program->get();
    ASSERT_TRUE(binary);
    EXPECT_EQ(binary->build_id(), program->build_id());
    EXPECT_TRUE(program->runtime());
  }
  host_.go("one");
  EXPECT_FALSE(program->get());
  EXPECT_TRUE(program->runtime()) << "found out before";
  EXPECT_FALSE(program->plan().probes.empty());
}

}  // namespace
}  // namespace mapwatch::app
