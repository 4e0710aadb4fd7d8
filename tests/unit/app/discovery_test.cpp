#include "app/discovery.h"

#include <gtest/gtest.h>

#include "app/host_dir.h"

namespace mapwatch::app {
namespace {

using Verdict = Discovery::Verdict;

class DiscoveryTest : public testing::Test {
 protected:
  Verdict look(int pid) { return Discovery(options_, host_.procfs()).look(pid).verdict; }
  Match match(int pid) { return Discovery(options_, host_.procfs()).look(pid).match; }

  test::HostDir host_;
  cli::Options options_;
};

TEST_F(DiscoveryTest, GoProgramsByWhatIsInTheFile) {
  options_.all = true;
  host_.process(10, host_.go("server"), "server");
  host_.process(11, host_.file("script", "#!/bin/sh\n"), "script");
  host_.process(12, host_.bin() + "/nowhere", "gone");
  EXPECT_EQ(look(10), Verdict::kWanted);
  EXPECT_EQ(match(10), Match::kFile);
  EXPECT_EQ(look(11), Verdict::kNotGo);
  EXPECT_EQ(look(12), Verdict::kGone);
  EXPECT_EQ(look(13), Verdict::kGone);
}

TEST_F(DiscoveryTest, NeverItself) {
  options_.all = true;
  host_.process(10, host_.go("mapwatch"), "mapwatch");
  host_.process(11, host_.go("guard"), "guard");
  host_.process(12, "/proc/self/exe", "unit_tests");
  Discovery discovery(options_, host_.procfs());
  discovery.leave_out({10, 11});
  EXPECT_EQ(discovery.look(10).verdict, Verdict::kNotGo);
  EXPECT_EQ(discovery.look(11).verdict, Verdict::kNotGo);
  EXPECT_EQ(discovery.look(12).verdict, Verdict::kNotGo);
}

TEST_F(DiscoveryTest, NamesGlobsAndCgroups) {
  host_.process(10, host_.go("orders"), "worker", "/shop/orders.service");
  options_.names = {"orders"};
  EXPECT_EQ(match(10), Match::kFile);
  options_.names = {"worker"};
  EXPECT_EQ(match(10), Match::kProcess) << "another process of the file may have another name";
  options_.names = {"order"};
  EXPECT_EQ(look(10), Verdict::kNotMine);
  options_.exe_globs = {"*/bin/ord*"};
  EXPECT_EQ(match(10), Match::kFile);
  options_.exe_globs = {"/bin/ord*"};
  EXPECT_EQ(look(10), Verdict::kNotMine);
  for (const auto& [path, expected] : {std::pair("/shop", Match::kProcess),
                                       {"/shop/", Match::kProcess},
                                       {"/shop/orders.service", Match::kProcess},
                                       {"/sho", Match::kNo},
                                       {"/shop/orders", Match::kNo}}) {
    options_.cgroup = path;
    EXPECT_EQ(match(10), expected) << path;
  }
}

TEST_F(DiscoveryTest, ExclusionWinsByPathNameAndComm) {
  options_.all = true;
  options_.names = {"orders"};
  host_.process(10, host_.go("orders"), "worker");
  for (const char* glob : {"*/bin/*", "ord*", "work*"}) {
    options_.excludes = {"other", glob};
    EXPECT_EQ(look(10), Verdict::kNotMine) << glob;
  }
  options_.excludes = {"rders", "/orders"};
  EXPECT_EQ(look(10), Verdict::kWanted);
}

TEST(ExeKinds, EachFileIsReadOnce) {
  test::HostDir host;
  ExeKinds kinds(2);
  const std::string go = host.go("go");
  const std::string other = host.file("other", "text");
  const auto is_go = [&](const std::string& path) { return kinds.is_go(path, FileKey::of(path).value()); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(is_go(go), true);
    EXPECT_EQ(is_go(other), false);
  }
  EXPECT_EQ(kinds.reads(), 2u);
}

TEST(ExeKinds, ForgetsWhatWasNotAskedForLongest) {
  test::HostDir host;
  ExeKinds kinds(2);
  const auto is_go = [&](const std::string& path) { return kinds.is_go(path, FileKey::of(path).value()); };
  const std::string one = host.file("1", "a");
  const std::string two = host.file("2", "b");
  const std::string three = host.file("3", "c");
  is_go(one);
  is_go(two);
  is_go(one);
  is_go(three);
  EXPECT_EQ(kinds.size(), 2u);
  EXPECT_EQ(kinds.reads(), 3u);
  is_go(one);
  EXPECT_EQ(kinds.reads(), 3u);
  is_go(two);
  EXPECT_EQ(kinds.reads(), 4u);
}

TEST(ExeKinds, FileWrittenOverIsReadAgain) {
  test::HostDir host;
  ExeKinds kinds;
  const std::string path = host.file("x", "text");
  EXPECT_EQ(kinds.is_go(path, FileKey::of(path).value()), false);
  host.go("x");
  EXPECT_EQ(kinds.is_go(path, FileKey::of(path).value()), true);
}

TEST(ExeKinds, FileThatWasReplacedMeanwhileIsNotJudged) {
  test::HostDir host;
  ExeKinds kinds;
  const std::string path = host.file("x", "text");
  const FileKey before = FileKey::of(path).value();
  host.go("x");
  EXPECT_FALSE(kinds.is_go(path, before));
  EXPECT_EQ(kinds.size(), 0u);
}

}  // namespace
}  // namespace mapwatch::app
