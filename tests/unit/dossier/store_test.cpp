#include "dossier/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/sha256.h"

namespace mapwatch::dossier {
namespace {

namespace fs = std::filesystem;

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string name = testing::TempDir() + "store_test_XXXXXX";
    root_ = ::mkdtemp(name.data());
  }
  ~StoreTest() override { fs::remove_all(root_); }

  Store open(StoreLimits limits = {}) {
    auto store = Store::open(root_ + "/state", true, limits);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  static std::vector<std::string> ids(const Store& store) {
    std::vector<std::string> out;
    const auto entries = store.list();
    EXPECT_TRUE(entries);
    for (const DossierEntry& entry : *entries) {
      out.push_back(entry.id);
    }
    return out;
  }
  static unsigned mode_of(const std::string& path) {
    struct stat stat = {};
    EXPECT_EQ(::stat(path.c_str(), &stat), 0) << path;
    return stat.st_mode & 07777;
  }

  std::string root_;
  const std::vector<DossierFile> files_ = {{"report.txt", "a crash\n"}, {"maps.txt", ""}};
};

using Ids = std::vector<std::string>;

TEST_F(StoreTest, WritesWholeDirectoriesForTheOwnerOnly) {
  Store store = open();
  const auto path = store.add("1-a", files_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, root_ + "/state/dossiers/1-a");
  EXPECT_EQ(mode_of(root_ + "/state/dossiers"), 0700u);
  EXPECT_EQ(mode_of(*path), 0700u);
  EXPECT_EQ(mode_of(*path + "/report.txt"), 0600u);
  EXPECT_EQ(store.read("1-a", "report.txt").value(), "a crash\n");
  EXPECT_EQ(store.read("1-a", "SHA256SUMS").value(),
            sha256_hex("a crash\n") + "  report.txt\n" + sha256_hex("") + "  maps.txt\n");
  EXPECT_TRUE(store.verify("1-a").value().empty());
}

TEST_F(StoreTest, VerifyNamesWhatIsChangedMissingAndNew) {
  Store store = open();
  const std::string path = store.add("1-a", files_).value();
  std::ofstream(path + "/report.txt", std::ios::app) << "x";
  fs::remove(path + "/maps.txt");
  std::ofstream(path + "/extra\x1b.txt") << "x";
  const auto wrong = store.verify("1-a").value();
  ASSERT_EQ(wrong.size(), 3u);
  EXPECT_EQ(wrong[0], "extra\\x1b.txt: not in SHA256SUMS");
  EXPECT_TRUE(wrong[1].starts_with("maps.txt: cannot read")) << wrong[1];
  EXPECT_EQ(wrong[2], "report.txt: changed");
}

TEST_F(StoreTest, TheOldestGoWhenThereAreTooManyOrTheyAreTooLarge) {
  Store few = open({2, 1 << 20});
  for (const char* id : {"1-a", "3-c", "2-b"}) {
    ASSERT_TRUE(few.add(id, files_));
  }
  EXPECT_EQ(ids(few), (Ids{"2-b", "3-c"}));
  Store small = open({10, 5000});
  ASSERT_TRUE(small.add("4-d", {{"large", std::string(4900, 'x')}}));
  EXPECT_EQ(ids(small), Ids{"4-d"});
  ASSERT_TRUE(small.add("0-too-large-by-itself", {{"large", std::string(9000, 'x')}}));
  EXPECT_EQ(ids(small), Ids{"0-too-large-by-itself"});
}

TEST_F(StoreTest, WhatCannotBeWrittenLeavesNothing) {
  Store store = open();
  EXPECT_FALSE(store.add("1-a", {{"good", "x"}, {"no/such/place", "x"}}));
  EXPECT_TRUE(fs::is_empty(root_ + "/state/dossiers"));
}

TEST_F(StoreTest, TheRestOfAKilledWriterIsRemoved) {
  Store store = open();
  fs::create_directories(root_ + "/state/dossiers/.unfinished-0-x");
  EXPECT_TRUE(ids(store).empty());
  ASSERT_TRUE(store.add("1-a", files_));
  EXPECT_FALSE(fs::exists(root_ + "/state/dossiers/.unfinished-0-x"));
}

TEST_F(StoreTest, ReplacesFilesInOneStep) {
  Store store = open();
  const std::string path = store.add("1-a", files_).value();
  struct stat before = {}, after = {};
  ASSERT_EQ(::stat((path + "/maps.txt").c_str(), &before), 0);
  ASSERT_TRUE(store.replace("1-a", {{"report.txt", "new\n"}, {"timeline.json", "{}"}}));
  EXPECT_EQ(store.read("1-a", "report.txt").value(), "new\n");
  EXPECT_EQ(store.read("1-a", "timeline.json").value(), "{}");
  ASSERT_EQ(::stat((path + "/maps.txt").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "what stays is not written again";
  EXPECT_EQ(after.st_nlink, 1u);
  EXPECT_TRUE(store.verify("1-a").value().empty());
  EXPECT_EQ(mode_of(path), 0700u);
  EXPECT_EQ(mode_of(path + "/timeline.json"), 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ + "/state/dossiers"), {}), 1);
}

TEST_F(StoreTest, ReplacingKeepsTheSumsOfWhatWasDamagedMeanwhile) {
  Store store = open();
  const std::string path = store.add("1-a", files_).value();
  std::ofstream(path + "/maps.txt", std::ios::app) << "x";
  ASSERT_TRUE(store.replace("1-a", {{"report.txt", "new\n"}}));
  EXPECT_EQ(store.verify("1-a").value(), std::vector<std::string>{"maps.txt: changed"});
}

TEST_F(StoreTest, AReplacementThatFailsChangesNothing) {
  Store store = open();
  ASSERT_TRUE(store.add("1-a", files_));
  EXPECT_FALSE(store.replace("1-a", {{"report.txt", "new\n"}, {"no/such/place", "x"}}));
  EXPECT_EQ(store.read("1-a", "report.txt").value(), "a crash\n");
  EXPECT_TRUE(store.verify("1-a").value().empty());
  EXPECT_EQ(store.replace("2-b", {{"report.txt", "x"}}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(ids(store), Ids{"1-a"});
}

TEST_F(StoreTest, NamesThatLeadElsewhereAreNoDossiers) {
  Store store = open();
  fs::create_directories(root_ + "/state/victim");
  fs::create_directory_symlink(root_ + "/state/victim", root_ + "/state/dossiers/link");
  for (const char* id : {"../victim", "..", ".", "", "link", "no-such", "a/b", "a\x1b"}) {
    EXPECT_EQ(store.read(id, "report.txt").error().kind, ErrorKind::kUsage) << id;
    EXPECT_EQ(store.verify(id).error().kind, ErrorKind::kUsage) << id;
    EXPECT_EQ(store.remove(id).error().kind, ErrorKind::kUsage) << id;
  }
  EXPECT_FALSE(store.add("../victim/x", files_));
  EXPECT_TRUE(fs::exists(root_ + "/state/victim"));
}

TEST_F(StoreTest, RemovesOne) {
  Store store = open();
  ASSERT_TRUE(store.add("1-a", files_) && store.add("2-b", files_));
  ASSERT_TRUE(store.remove("1-a"));
  EXPECT_EQ(ids(store), Ids{"2-b"});
}

TEST_F(StoreTest, ADirectoryThatOthersMayWriteToIsRefused) {
  open();
  ASSERT_EQ(::chmod((root_ + "/state/dossiers").c_str(), 0777), 0);
  EXPECT_EQ(Store::open(root_ + "/state", true).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(Store::open(root_ + "/nowhere", false).error().kind, ErrorKind::kGone);
}

TEST_F(StoreTest, ASnapshotIsOfOneStateWhateverComesAfterIt) {
  Store store = open();
  ASSERT_TRUE(store.add("1-a", files_));
  const auto before = store.snapshot("1-a");
  ASSERT_TRUE(before) << before.error().message;
  ASSERT_TRUE(store.replace("1-a", {{"report.txt", "complete\n"}, {"timeline.json", "{}"}}));
  EXPECT_EQ(before->names(), (Ids{"SHA256SUMS", "maps.txt", "report.txt"}));
  EXPECT_EQ(before->read("report.txt").value(), "a crash\n");
  EXPECT_EQ(before->verify().value(), Ids{});
  const auto after = store.snapshot("1-a");
  ASSERT_TRUE(store.remove("1-a"));
  EXPECT_EQ(after->names(), (Ids{"SHA256SUMS", "maps.txt", "report.txt", "timeline.json"}));
  EXPECT_EQ(after->read("report.txt").value(), "complete\n");
  EXPECT_EQ(after->verify().value(), Ids{});
  EXPECT_EQ(store.snapshot("1-a").error().kind, ErrorKind::kUsage);
}

TEST_F(StoreTest, NoSnapshotMixesTwoStates) {
  Store store = open();
  ASSERT_TRUE(store.add("1-a", files_));
  std::atomic<bool> stop = false;
  std::thread completing([&] {
    Store own = open();
    for (int i = 0; !stop; ++i) {
      const std::string text = std::to_string(i);
      EXPECT_TRUE(own.replace("1-a", {{"report.txt", text}, {"maps.txt", text}}));
    }
  });
  std::size_t replaced = 0;
  for (std::string last; replaced < 200;) {
    const auto snapshot = store.snapshot("1-a");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    EXPECT_EQ(snapshot->verify().value(), Ids{});
    const std::string text = snapshot->read("report.txt").value();
    replaced += text != last ? 1 : 0;
    last = text;
  }
  stop = true;
  completing.join();
}

TEST_F(StoreTest, WhatIsNoFileIsNamedBySnapshots) {
  Store store = open();
  const auto path = store.add("1-a", files_);
  ASSERT_TRUE(path);
  fs::create_directory(*path + "/more");
  fs::create_symlink("/etc/passwd", *path + "/passwd");
  const auto snapshot = store.snapshot("1-a");
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->read("more"));
  EXPECT_FALSE(snapshot->read("passwd"));
  EXPECT_FALSE(snapshot->read("absent"));
  EXPECT_EQ(snapshot->verify().value(), (Ids{"more: not in SHA256SUMS", "passwd: not in SHA256SUMS"}));
}

}  // namespace
}  // namespace mapwatch::dossier
