#include "forensics/map_findings.h"

#include <algorithm>
#include <array>

namespace mapwatch::forensics {
namespace {

constexpr bool kTransient = true;

// In the order of MapDefect.
constexpr std::array kTexts = {
    DefectText{"count_mismatch", "the number of entries found is not the one that len() answers",
               "two goroutines inserted or deleted at the same time and one update of the counter was lost",
               kTransient},
    DefectText{"unreadable_block", "a part of the map lies in memory that cannot be read",
               "a wild pointer in the header, or the map was freed or is not a map of this type"},
    DefectText{"dangling_key", "an entry's key, or a part of it, lies where nothing can be read",
               "a half-written entry: a reader saw the slot before its key was stored, or memory was overwritten",
               kTransient},
    DefectText{"duplicate_key", "the same key is in the map twice: updates and deletes reach only one of them",
               "two goroutines inserted the key at the same time; neither saw the other's slot"},
    DefectText{"mark_mismatch", "an entry's mark is not that of its key's hash: lookups pass over it",
               "two goroutines wrote to the same slot, one the mark and the other the key; or the key's memory changed"
               " after it was inserted",
               kTransient},
    DefectText{"no_buckets", "entries are counted and there is no array that could hold them",
               "the header was overwritten, or two goroutines made the first bucket at once", kTransient},
    DefectText{"bucket_count", "the header claims more buckets than memory can hold",
               "the header was overwritten, or this is no map of this kind"},
    DefectText{"illegal_tophash", "a mark says \"evacuated\" in a bucket that is not old: its entry is lost to lookups",
               "a stale writer evacuated into, or memory was overwritten"},
    DefectText{"entry_after_end", "an entry lies behind the mark that ends its bucket: lookups never reach it",
               "a delete moved the end of the bucket while another goroutine inserted behind it", kTransient},
    DefectText{"overflow_loop",
               "the overflow chain of a bucket leads back into itself: a lookup of a missing key never"
               " ends",
               "two goroutines appended overflow buckets to one chain at the same time, or memory was overwritten"},
    DefectText{"overflow_dangling", "an overflow chain leads to an address that cannot be read: a lookup there crashes",
               "memory was overwritten, or a writer used a bucket layout of another type"},
    DefectText{"overflow_shared", "two buckets have the same overflow bucket: entries of one appear in the other",
               "two goroutines took the same preallocated overflow bucket at the same time"},
    DefectText{"overflow_too_long", "an overflow chain is longer than any real map makes",
               "hashes that collide (a hash-flooding attack), or a chain that was corrupted"},
    DefectText{"overflow_count_mismatch", "the number of overflow buckets is not the one in the header",
               "two goroutines appended overflow buckets and one update of the counter was lost; growth comes too late"
               " or too early",
               kTransient},
    DefectText{"evacuation_mark", "nevacuate is beyond the old buckets: the growth cannot end properly",
               "two goroutines evacuated at the same time and both moved the mark", kTransient},
    DefectText{"half_evacuated",
               "an old bucket is evacuated in part: lookups take it for wholly one or the other, and"
               " miss entries",
               "two goroutines evacuated it at the same time, or a write is in the middle of it", kTransient},
    DefectText{"not_evacuated",
               "an old bucket that the header says is evacuated is not: its entries vanish when the"
               " growth ends",
               "two goroutines grew the map at the same time", kTransient},
    DefectText{"entry_before_evacuation",
               "a new bucket has entries although its old bucket still holds its own: the"
               " evacuation will overwrite them",
               "a writer with a stale view of the map wrote into the new array", kTransient},
    DefectText{"old_buckets", "the header's account of the growth contradicts itself",
               "two goroutines started or ended a growth at the same time", kTransient},
    DefectText{"wrong_bucket", "a key lies in a bucket that its hash does not lead to: lookups do not find it",
               "a goroutine wrote with a bucket number from before a growth, or the key's memory changed after it was"
               " inserted",
               kTransient},
    DefectText{"illegal_control_byte", "a control byte is neither empty, deleted nor a hash",
               "memory was overwritten, or the group is not one of this map"},
    DefectText{"directory_mismatch",
               "the directory's length, depth and shift do not fit together: lookups index"
               " outside of it or miss tables",
               "two goroutines split tables and grew the directory at the same time", kTransient},
    DefectText{"table_dangling", "a place in the directory leads to no table: a lookup there crashes",
               "two goroutines grew the directory at the same time, or memory was overwritten"},
    DefectText{"table_depth",
               "a table's depth does not fit the number of places that lead to it: the next split"
               " overwrites its neighbours",
               "two goroutines split the same table at the same time", kTransient},
    DefectText{"table_index",
               "a table does not know its place in the directory: the next split installs its halves"
               " elsewhere",
               "two goroutines split tables at the same time; or a stale table stayed in the directory", kTransient},
    DefectText{"table_scattered", "one table is in places of the directory that are not neighbours",
               "two goroutines installed split tables at the same time", kTransient},
    DefectText{"table_capacity", "a table's capacity does not fit its groups",
               "memory was overwritten, or two goroutines replaced the groups at the same time", kTransient},
    DefectText{"table_used", "a table's count is not the number of entries found in it",
               "two goroutines inserted into or deleted from it at the same time and one update was lost", kTransient},
    DefectText{"growth_left",
               "a table's account of its free slots is wrong: it grows too early, or fills up until a"
               " lookup of a missing key never ends",
               "two goroutines inserted into or deleted from it at the same time", kTransient},
    DefectText{"no_empty_slot", "a table has no empty slot: a lookup of a missing key never ends",
               "two goroutines filled the last slots at the same time"},
    DefectText{"tombstone_unexpected", "there is a deleted mark where the map rules it out",
               "two goroutines deleted at the same time, or memory was overwritten", kTransient},
    DefectText{"wrong_table", "a key lies in a table that its hash does not lead to: lookups do not find it",
               "a goroutine inserted into a table that was being split", kTransient},
    DefectText{"unreachable_key",
               "an empty slot comes before the key on the way that lookups take: they do not find it",
               "two goroutines inserted and deleted in one group at the same time; or the key's memory changed after it"
               " was inserted",
               kTransient},
};
static_assert(kTexts.size() == static_cast<std::size_t>(MapDefect::kUnreachableKey) + 1);

}  // namespace

const DefectText& describe(MapDefect defect) { return kTexts[static_cast<std::size_t>(defect)]; }

void FindingList::add(MapDefect defect, std::uint64_t address, std::string text) {
  auto found = std::ranges::find(findings_, defect, &MapFinding::defect);
  if (found == findings_.end()) {
    findings_.push_back({defect, 0, {}, writing_ && describe(defect).transient});
    found = findings_.end() - 1;
  }
  ++found->count;
  if (found->examples.size() < examples_) {
    found->examples.push_back({address, std::move(text)});
  }
}

bool FindingList::has(MapDefect defect) const {
  return std::ranges::find(findings_, defect, &MapFinding::defect) != findings_.end();
}

bool FindingList::wants_example(MapDefect defect) const {
  const auto found = std::ranges::find(findings_, defect, &MapFinding::defect);
  return found == findings_.end() || found->examples.size() < examples_;
}

}  // namespace mapwatch::forensics
