// A new version beside the old one: is it worse? Pure.
#pragma once

#include <string>

namespace mapwatch::ops {

/// What was seen of a group of processes over one span of time.
struct Group {
  double watched_s = 0;
  double hazard_s = 0;
  double crashes = 0;
  double overhead = 0;  ///< share of its CPU time, of the process that pays most
};

struct Comparison {
  bool roll_back = false;
  bool no_data = false;
  double crash_p = 1;  ///< chance of so many crashes in the canary if both crash alike, given all of them
  std::string why;     ///< for people
};

/// The canary is rolled back when it has crashes that the baseline's rate explains with a chance below 5 %; when it
/// has hazards and the baseline, watched for no less time, has none; or when its hazards take more than twice the
/// baseline's share of the time. Cost is told, and decides nothing: it is what mapwatch takes, not what the program
/// does. No data where either was watched for less than a minute.
Comparison compare(const Group& canary, const Group& baseline);

}  // namespace mapwatch::ops
