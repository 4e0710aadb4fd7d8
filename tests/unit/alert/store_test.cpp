#include "alert/store.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::alert {
namespace {

constexpr std::uint64_t kRoom = 64u << 20;

class AlertStoreTest : public testing::Test {
 protected:
  std::string path() const { return dir_.file("alerts.db"); }
  Store open(std::uint64_t most = kRoom) const {
    auto store = Store::open(path(), most);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  static Groups::Kept kept(const std::string& id, bool told) {
    return {{{{"id", id}, {"exe", "/a \"b\"\n"}}, {{"summary", "größe"}}, 11, 12}, told};
  }

  test::TempDir dir_;
};

TEST_F(AlertStoreTest, WhatWasSavedIsThereAfterARestart) {
  {
    const Store store = open();
    const Notification one{"k1", "body 1", 1};
    const Notification two{"k2", std::string("b\0dy", 4), 2};
    const Notification three{"k3", "body 3", 3};
    ASSERT_TRUE(store.save({{{"f1", kept("1", true)}, {"f2", kept("2", false)}}, {&one, &two, &three}, {}}));
    ASSERT_TRUE(store.save({{{"f1", std::nullopt}}, {}, {"k1", "unknown"}}));
  }
  const auto state = open().load();
  ASSERT_TRUE(state) << state.error().message;
  ASSERT_EQ(state->alerts.size(), 1u);
  EXPECT_EQ(state->alerts[0].alert.labels, kept("2", false).alert.labels);
  EXPECT_EQ(state->alerts[0].alert.annotations.at("summary"), "größe");
  EXPECT_EQ(state->alerts[0].alert.starts_ns, 11);
  EXPECT_EQ(state->alerts[0].alert.ends_ns, 12);
  EXPECT_FALSE(state->alerts[0].told);
  ASSERT_EQ(state->waiting.size(), 2u);
  EXPECT_EQ(state->waiting[0].key, "k2");
  EXPECT_EQ(state->waiting[0].body, std::string("b\0dy", 4));
  EXPECT_EQ(state->waiting[1].created_ns, 3);
}

TEST_F(AlertStoreTest, ANotificationIsThereOnce) {
  const Notification one{"k1", "body", 1};
  const Store store = open();
  ASSERT_TRUE(store.save({{}, {&one}, {}}));
  ASSERT_TRUE(store.save({{}, {&one}, {}}));
  EXPECT_EQ(store.load()->waiting.size(), 1u);
}

TEST_F(AlertStoreTest, IsForItsOwnerAlone) {
  open();
  struct stat info = {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(AlertStoreTest, BelongsToOneProcess) {
  const Store store = open();
  const auto second = Store::open(path(), kRoom);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("by another mapwatch already?"), std::string::npos) << second.error().message;
}

TEST_F(AlertStoreTest, AFullDiskIsAnErrorAndLeavesWhatWasThere) {
  const Store store = open(0);  // the fewest pages that there may be
  const Notification small{"k1", "small", 1};
  const Notification large{"k2", std::string(1u << 20, 'x'), 2};
  ASSERT_TRUE(store.save({{}, {&small}, {}}));
  const auto full = store.save({{{"f1", kept("1", true)}}, {&large}, {"k1"}});
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("full"), std::string::npos) << full.error().message;
  const auto state = store.load();
  EXPECT_EQ(state->waiting.size(), 1u) << "all or nothing";
  EXPECT_TRUE(state->alerts.empty());
  EXPECT_TRUE(store.save({{}, {}, {"k1"}})) << "it goes on when there is room";
}

TEST_F(AlertStoreTest, WhatIsNoneOfOursIsAnErrorWithARemedy) {
  dir_.write("alerts.db",
             "this is no database at all, and it is longer than a page's head of a hundred bytes, which it "
             "would be if it were one of SQLite's own");
  const auto store = Store::open(path(), kRoom);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().hint.find("move it away"), std::string::npos) << store.error().message;
}

TEST_F(AlertStoreTest, RowsThatMakeNoSenseArePassedOver) {
  {
    const Store store = open();
    ASSERT_TRUE(store.save({{{"f1", kept("1", true)}}, {}, {}}));
  }
  {
    auto raw = Database::create(path());
    ASSERT_TRUE(
        raw->run("INSERT INTO alert VALUES('f2','[1]','{}',1,2,3),('f3','{\"a\":1}','{}',1,2,3),"
                 "('f4','nonsense','{}','x','y','z')",
                 "insert"));
  }
  EXPECT_EQ(open().load()->alerts.size(), 1u);
}

}  // namespace
}  // namespace mapwatch::alert
