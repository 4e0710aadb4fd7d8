#include "base/time_namespace.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::proc {
namespace {

TEST(MonotonicOffset, SecondsAndTheRest) {
  EXPECT_EQ(parse_monotonic_offset("monotonic        1000         5\nboottime            0         0\n"),
            1'000'000'000'005);
  EXPECT_EQ(parse_monotonic_offset("boottime 1 2\nmonotonic  -3 250000000\n"), -2'750'000'000);
  for (const char* bad : {"", "monotonic", "monotonic \n", "monotonic 1\n", "monotonic x 1\n", "monotonic 1 -1\n",
                          "monotonic 1 1000000000\n", "monotonic 9223372036854775807 0\n", "boottime 1 0\n"}) {
    EXPECT_FALSE(parse_monotonic_offset(bad)) << bad;
  }
}

class TimeNamespace : public ::testing::Test {
 protected:
  std::int64_t with(const char* own, const char* other) {
    dir.write("self/timens_offsets", "monotonic 100 0\n");
    dir.write("42/timens_offsets", "monotonic 1000 0\n");
    for (const auto& [name, link] : {std::pair{"self/ns/time", own}, std::pair{"42/ns/time", other}}) {
      if (link != nullptr) {
        dir.link(name, link);
      }
    }
    return monotonic_offset_ns(42, ProcFs(dir.path()));
  }
  test::TempDir dir;
};

TEST_F(TimeNamespace, OfAnotherOne) { EXPECT_EQ(with("time:[1]", "time:[2]"), 900'000'000'000); }
// The file tells of the namespace of children, which is another one after unshare(2) alone.
TEST_F(TimeNamespace, NoneInTheSameOne) { EXPECT_EQ(with("time:[1]", "time:[1]"), 0); }
TEST_F(TimeNamespace, NoneOnAKernelWithout) { EXPECT_EQ(with(nullptr, nullptr), 0); }

}  // namespace
}  // namespace mapwatch::proc
